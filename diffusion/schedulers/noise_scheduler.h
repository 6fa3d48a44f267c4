#pragma once

#include <brume/core/random.h>
#include <brume/core/tensor.h>
#include <brume/diffusion/noise_source.h>

namespace brume::diffusion {

/// What training and sampling ask of a noise process x_t = f(x0, noise, t).
class NoiseScheduler {
 public:
  virtual ~NoiseScheduler() = default;

  /// Times for training. @shape result [n]
  virtual Tensor sample_time(int64_t n, Generator& rng, TensorOptions options = {}) const = 0;
  /// x_t. @shape x0 and the result [B, ...], t [B]
  virtual Tensor add_noise(const Tensor& x0, const Tensor& t, Generator& rng) const = 0;
  /// Weight of the squared error of x0. @shape t [B] -> [B], or [B, C] with per-channel data scales
  virtual Tensor loss_weight(const Tensor& t) const = 0;
  /// Times for sampling, from the largest noise level down to zero.
  /// @shape  result [num_steps + 1], decreasing, last element 0
  /// @throws ShapeError if num_steps < 2
  virtual Tensor timesteps(int64_t num_steps, TensorOptions options = {}) const = 0;
  /// Where sampling begins: noise of the level at tN. @shape shape [B, ...], tN [B]
  virtual Tensor init_latents(const Shape& shape, const Tensor& tN, NoiseSource& noise,
                              TensorOptions options = {}) const = 0;
};

}  // namespace brume::diffusion
