#pragma once
// A model that lives outside the library: its class, its arguments, its name in files.

#include <string>

#include <brume/diffusion/condition.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::own_model {

struct WaveDenoiserConfig {
  int64_t features = 0;
  int64_t width = 64;
  int64_t waves = 8;  // of the noise level

  template <class V>
  void fields(V& v) {
    v("features", features, nn::required);
    v("width", width);
    v("waves", waves);
  }
};

/// Three linear layers over x and waves of t. Keys: in.*, middle.*, out.*
/// @shape  x [B, features], t [B] -> [B, features]
class WaveDenoiser : public nn::Module {
 public:
  using Config = WaveDenoiserConfig;
  explicit WaveDenoiser(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& t, const diffusion::Condition& = {}) const;

 private:
  int64_t waves_;
  nn::Ref<nn::Linear> in_, middle_, out_;
};

/// Makes files that name the class loadable, and any place that takes a model take it. Call it
/// once, before either.
void register_wave_denoiser();

}  // namespace brume::own_model
