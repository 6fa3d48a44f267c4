#pragma once

#include <brume/diffusion/schedulers/edm.h>

namespace brume::diffusion {

struct EDMLogUniformNoiseSchedulerConfig {
  double sigma_min = kEdmSigmaMin, sigma_max = kEdmSigmaMax, rho = kEdmRho;
  nn::OneOrMany<double> sigma_data = kSigmaData;  // one, or one per channel
  template <class V>
  void fields(V& v) {
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("rho", rho);
    v("sigma_data", sigma_data);
  }
};

/// EDM whose training times are log-uniform between sigma_min and sigma_max.
class EDMLogUniformNoiseScheduler : public EDMNoiseScheduler {
 public:
  using Config = EDMLogUniformNoiseSchedulerConfig;
  explicit EDMLogUniformNoiseScheduler(const Config& config = {});
  Tensor sample_time(int64_t n, Generator& rng, TensorOptions options = {}) const override;

 private:
  double log_min_, log_ratio_;
};

}  // namespace brume::diffusion
