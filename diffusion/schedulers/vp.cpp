#include <brume/diffusion/schedulers/vp.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/diffusion/schedulers/time_grid.h>
#include <brume/diffusion/vp_levels.h>

namespace brume::diffusion {

VPNoiseScheduler::VPNoiseScheduler(const Config& config) : config_(config) {
  check_betas("VPNoiseScheduler", config.beta_d, config.beta_min);
  check(0 < config.epsilon_s && config.epsilon_s < config.t_max && std::isfinite(config.t_max),
        "VPNoiseScheduler: wants 0 < epsilon_s < t_max, got ", config.epsilon_s, " and ",
        config.t_max);
}

Tensor VPNoiseScheduler::integrated_rate(const Tensor& t) const {
  return vp_integrated_rate(t, config_.beta_d, config_.beta_min);
}

Tensor VPNoiseScheduler::alpha(const Tensor& t) const { return exp(integrated_rate(t) * -0.5); }

// sqrt(1 - alpha^2), without the cancellation at small times.
Tensor VPNoiseScheduler::sigma(const Tensor& t) const { return sqrt(-expm1(-integrated_rate(t))); }

Tensor VPNoiseScheduler::alpha_dot(const Tensor& t) const {
  return (t * config_.beta_d + config_.beta_min) * alpha(t) * -0.5;
}

Tensor VPNoiseScheduler::sigma_dot(const Tensor& t) const {
  return -(alpha(t) * alpha_dot(t)) / sigma(t);
}

// The root of integrated_rate(t) = -log(1 - sigma^2); 1e-8 keeps sigma = 1 finite, as the reference
// does.
Tensor VPNoiseScheduler::sigma_inv(const Tensor& sigma) const {
  const double b = config_.beta_min, d = config_.beta_d;
  const Tensor log_alpha2 = log(1.0 - square(sigma) + 1e-8);
  return (sqrt(clamp_min(b * b - log_alpha2 * (2 * d), 0)) - b) / d;
}

Tensor VPNoiseScheduler::sample_time(int64_t n, Generator& rng, TensorOptions options) const {
  return uniform({n}, rng, options) * (config_.t_max - config_.epsilon_s) + config_.epsilon_s;
}

Tensor VPNoiseScheduler::loss_weight(const Tensor& t) const { return square(alpha(t) / sigma(t)); }

Tensor VPNoiseScheduler::timesteps(int64_t num_steps, TensorOptions options) const {
  return sampling_times("VPNoiseScheduler", num_steps, options, [&](const Tensor& fraction) {
    return fraction * (config_.epsilon_s - config_.t_max) + config_.t_max;
  });
}

}  // namespace brume::diffusion
