#include <brume/diffusion/schedulers/edm_log_uniform.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>

namespace brume::diffusion {

EDMLogUniformNoiseScheduler::EDMLogUniformNoiseScheduler(const Config& config)
    : EDMNoiseScheduler({.sigma_min = config.sigma_min,
                         .sigma_max = config.sigma_max,
                         .rho = config.rho,
                         .sigma_data = config.sigma_data}),
      log_min_(std::log(config.sigma_min)),
      log_ratio_(std::log(config.sigma_max / config.sigma_min)) {}

Tensor EDMLogUniformNoiseScheduler::sample_time(int64_t n, Generator& rng,
                                                TensorOptions options) const {
  return exp(uniform({n}, rng, options) * log_ratio_ + log_min_);
}

}  // namespace brume::diffusion
