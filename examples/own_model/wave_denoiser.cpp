#include "examples/own_model/wave_denoiser.h"

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/model.h>

namespace brume::own_model {

WaveDenoiser::WaveDenoiser(const Config& c) : waves_(c.waves) {
  check(c.features > 0 && c.width > 0 && c.waves > 0,
        "WaveDenoiser: features, width and waves must be positive");
  const auto layer = [this](const char* name, int64_t in, int64_t out) {
    return child<nn::Linear>(name, nn::LinearConfig::torch_default(in, out));
  };
  in_ = layer("in", c.features + 2 * c.waves, c.width);
  middle_ = layer("middle", c.width, c.width);
  out_ = layer("out", c.width, c.features);
}

Tensor WaveDenoiser::operator()(const Tensor& x, const Tensor& t,
                                const diffusion::Condition&) const {
  const Tensor k = arange(1, waves_, 1, {.dtype = x.dtype(), .device = x.device()});
  const Tensor angle = unsqueeze(t, 1) * k;
  const Tensor h = in_(cat({x, cos(angle), sin(angle)}, 1));
  return out_(silu(middle_(silu(h))));
}

void register_wave_denoiser() { diffusion::register_model<WaveDenoiser>("example.WaveDenoiser"); }

}  // namespace brume::own_model
