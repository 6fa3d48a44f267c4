#pragma once

#include <brume/diffusion/schedulers/edm.h>

namespace brume::diffusion {

struct StudentTEDMNoiseSchedulerConfig {
  double sigma_min = kEdmSigmaMin, sigma_max = kEdmSigmaMax, rho = kEdmRho;
  double nu = 10;                                 // degrees of freedom
  nn::OneOrMany<double> sigma_data = kSigmaData;  // one, or one per channel
  double P_mean = kEdmPMean, P_std = kEdmPStd;
  template <class V>
  void fields(V& v) {
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("rho", rho);
    v("nu", nu);
    v("sigma_data", sigma_data);
    v("P_mean", P_mean);
    v("P_std", P_std);
  }
};

/// EDM with heavy tails: n is multivariate Student-t, normal numbers divided by one random scale
/// per sample.
/// @source Pandey et al. 2024, arXiv:2410.14171
class StudentTEDMNoiseScheduler : public EDMNoiseScheduler {
 public:
  using Config = StudentTEDMNoiseSchedulerConfig;
  /// @throws ShapeError as EDMNoiseScheduler, or unless nu > 2, and finite
  explicit StudentTEDMNoiseScheduler(const Config& config = {});
  Tensor loss_weight(const Tensor& t) const override;

 protected:
  Tensor draw_noise(const Shape& shape, NoiseSource& noise, TensorOptions options) const override;

 private:
  double nu_;
};

}  // namespace brume::diffusion
