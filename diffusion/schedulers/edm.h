#pragma once

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>
#include <brume/nn/config.h>

namespace brume::diffusion {

struct EDMNoiseSchedulerConfig {
  double sigma_min = kEdmSigmaMin, sigma_max = kEdmSigmaMax, rho = kEdmRho;
  nn::OneOrMany<double> sigma_data = kSigmaData;  // one, or one per channel
  double P_mean = kEdmPMean, P_std = kEdmPStd;
  template <class V>
  void fields(V& v) {
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("rho", rho);
    v("sigma_data", sigma_data);
    v("P_mean", P_mean);
    v("P_std", P_std);
  }
};

/// EDM: x_t = x0 + t n; training times are log-normal, sampling times spaced by the power rho.
/// @source Karras et al. 2022, arXiv:2206.00364, eq. 5 and table 1
class EDMNoiseScheduler : public LinearGaussianNoiseScheduler {
 public:
  using Config = EDMNoiseSchedulerConfig;
  /// @throws ShapeError unless 0 < sigma_min < sigma_max, rho, sigma_data, P_std > 0, and all are
  ///         finite
  explicit EDMNoiseScheduler(Config config = {});

  Tensor sigma(const Tensor& t) const override { return t; }
  Tensor sigma_inv(const Tensor& sigma) const override { return sigma; }
  Tensor sigma_dot(const Tensor& t) const override { return ones_like(t); }
  Tensor sample_time(int64_t n, Generator& rng, TensorOptions options = {}) const override;
  Tensor loss_weight(const Tensor& t) const override;
  Tensor timesteps(int64_t num_steps, TensorOptions options = {}) const override;

 private:
  Config config_;
};

}  // namespace brume::diffusion
