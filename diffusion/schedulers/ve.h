#pragma once

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>
#include <brume/nn/config.h>

namespace brume::diffusion {

struct VENoiseSchedulerConfig {
  double sigma_min = kVeSigmaMin, sigma_max = kVeSigmaMax;
  template <class V>
  void fields(V& v) {
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
  }
};

/// Variance exploding: x_t = x0 + sqrt(t) n; training noise levels are log-uniform, sampling times
/// geometric. A time is a variance here.
/// @source Song et al. 2021, arXiv:2011.13456; as in Karras et al. 2022, arXiv:2206.00364, table 1
class VENoiseScheduler : public LinearGaussianNoiseScheduler {
 public:
  using Config = VENoiseSchedulerConfig;
  /// @throws ShapeError unless 0 < sigma_min < sigma_max
  explicit VENoiseScheduler(const Config& config = {});

  Tensor sigma(const Tensor& t) const override;
  Tensor sigma_inv(const Tensor& sigma) const override;
  Tensor sigma_dot(const Tensor& t) const override;
  Tensor sample_time(int64_t n, Generator& rng, TensorOptions options = {}) const override;
  Tensor loss_weight(const Tensor& t) const override;
  Tensor timesteps(int64_t num_steps, TensorOptions options = {}) const override;

 private:
  Config config_;
};

}  // namespace brume::diffusion
