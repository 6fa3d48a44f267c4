#include <brume/diffusion/schedulers/ve.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/diffusion/level_grids.h>
#include <brume/diffusion/schedulers/time_grid.h>

namespace brume::diffusion {

VENoiseScheduler::VENoiseScheduler(const Config& config) : config_(config) {
  check_levels("VENoiseScheduler", config.sigma_min, config.sigma_max);
}

Tensor VENoiseScheduler::sigma(const Tensor& t) const { return sqrt(t); }
Tensor VENoiseScheduler::sigma_inv(const Tensor& sigma) const { return square(sigma); }
Tensor VENoiseScheduler::sigma_dot(const Tensor& t) const { return 0.5 / sqrt(t); }

Tensor VENoiseScheduler::sample_time(int64_t n, Generator& rng, TensorOptions options) const {
  const double log_ratio = std::log(config_.sigma_max / config_.sigma_min);
  return square(exp(uniform({n}, rng, options) * log_ratio) * config_.sigma_min);
}

Tensor VENoiseScheduler::loss_weight(const Tensor& t) const { return 1.0 / t; }

Tensor VENoiseScheduler::timesteps(int64_t num_steps, TensorOptions options) const {
  return sampling_times("VENoiseScheduler", num_steps, options, [&](const Tensor& fraction) {
    return ve_time(fraction, config_.sigma_min, config_.sigma_max);
  });
}

}  // namespace brume::diffusion
