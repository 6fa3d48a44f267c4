#pragma once

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>
#include <brume/nn/config.h>

namespace brume::diffusion {

struct VPNoiseSchedulerConfig {
  double beta_min = kVpBetaMin, beta_d = 19.1;  // the rate of noise grows from beta_min by beta_d
  double epsilon_s = kVpEpsilonS, t_max = 1;    // the first time above 0, and the last
  template <class V>
  void fields(V& v) {
    v("beta_min", beta_min);
    v("beta_d", beta_d);
    v("epsilon_s", epsilon_s);
    v("t_max", t_max);
  }
};

/// Variance preserving: alpha^2 + sigma^2 = 1, alpha = exp(-(beta_d t^2 / 2 + beta_min t) / 2);
/// training times are uniform, sampling times evenly spaced.
/// @source Song et al. 2021, arXiv:2011.13456; as in Karras et al. 2022, arXiv:2206.00364, table 1
class VPNoiseScheduler : public LinearGaussianNoiseScheduler {
 public:
  using Config = VPNoiseSchedulerConfig;
  /// @throws ShapeError unless beta_min, beta_d > 0 and 0 < epsilon_s < t_max
  explicit VPNoiseScheduler(const Config& config = {});

  Tensor sigma(const Tensor& t) const override;
  Tensor sigma_inv(const Tensor& sigma) const override;
  Tensor sigma_dot(const Tensor& t) const override;
  Tensor alpha(const Tensor& t) const override;
  Tensor alpha_dot(const Tensor& t) const override;
  Tensor sample_time(int64_t n, Generator& rng, TensorOptions options = {}) const override;
  Tensor loss_weight(const Tensor& t) const override;
  Tensor timesteps(int64_t num_steps, TensorOptions options = {}) const override;

 private:
  Tensor integrated_rate(const Tensor& t) const;  // of beta, from 0 to t
  Config config_;
};

}  // namespace brume::diffusion
