#include <brume/diffusion/solvers/edm_stochastic.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <brume/autograd/ops/pointwise.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/solvers/deterministic.h>

namespace brume::diffusion {
namespace {

constexpr const char* kWho = "EDM stochastic solver";

struct Churned {
  Tensor x, t;
};

// Whether the noise levels of a process are its times, as EDM's.
bool levels_are_times(const LinearGaussianNoiseScheduler& process, const Tensor& t) {
  static const EDMNoiseScheduler edm;
  return same_levels(process, edm, t);
}

// The most that a level rises in a step, relative to it.
double checked_churn(const ChurnOptions& o, const Denoiser& denoiser, const Tensor& t,
                     bool in_times) {
  denoiser.check_gives(DenoisingType::ode, kWho);
  check(o.noise != nullptr, kWho, ": wants a noise source");
  check(static_cast<bool>(o.sigma) == static_cast<bool>(o.sigma_inv), kWho,
        ": give both sigma and sigma_inv, or neither");
  check(o.num_steps >= 1 && o.S_churn >= 0, kWho, ": wants num_steps >= 1 and S_churn >= 0, got ",
        o.num_steps, " and ", o.S_churn);
  check_churn(kWho, o.S_min, o.S_max, o.S_noise);
  const double most =
      std::min(o.S_churn / static_cast<double>(o.num_steps), std::numbers::sqrt2 - 1);
  const LinearGaussianNoiseScheduler* process = denoiser.process();
  check(most == 0 || o.sigma || !process || levels_are_times(*process, t), kWho,
        ": the noise levels of the denoiser's process are not its times; give sigma and sigma_inv, "
        "such as the scheduler's, ",
        in_times ? "and its diffusion" : "and no diffusion, which would count them twice");
  return most;
}

// x with noise added, and the time t_hat at which it now stands. The two solvers measure what is
// missing up to the new level differently: in times (Euler) or in noise levels (Heun), which is the
// same where sigma is the identity.
Churned churn(const ChurnOptions& o, const Denoiser& denoiser, const Tensor& x, const Tensor& t,
              bool in_times) {
  const double most = checked_churn(o, denoiser, t, in_times);
  if (most == 0 && !o.sigma) {  // the noise would be multiplied by 0
    o.noise->skip_normal_like(x);
    return {x, t};
  }
  const Tensor level = o.sigma ? o.sigma(t) : t;
  const Tensor gamma = where(logical_and(ge(level, o.S_min), le(level, o.S_max)),
                             full({}, most, {.dtype = t.dtype(), .device = t.device()}), 0);
  const Tensor raised = level + gamma * level;
  const Tensor t_hat = o.sigma_inv ? o.sigma_inv(raised) : raised;
  const Tensor missing = in_times ? square(t_hat) - square(t) : square(raised) - square(level);
  const Tensor g2 = o.diffusion ? o.diffusion(x, t) : 2.0 * per_sample(t, x);
  const Tensor amplitude =
      per_sample(sqrt(clamp_min(missing, 0)) * o.S_noise, x) * sqrt(g2 / (2.0 * per_sample(t, x)));
  const Tensor n = o.noise->normal_like(x);
  return {gated_residual(x, where(eq(per_sample(t, x), 0), 0, amplitude), n), t_hat};
}

}  // namespace

Tensor EDMStochasticEulerSolver::operator()(const Denoiser& denoiser, const Tensor& x,
                                            const Tensor& t, const Tensor& t_next) const {
  const Churned start = churn(*this, denoiser, x, t, /*in_times=*/true);
  return EulerSolver{}(denoiser, start.x, start.t, t_next);
}

Tensor EDMStochasticHeunSolver::operator()(const Denoiser& denoiser, const Tensor& x,
                                           const Tensor& t, const Tensor& t_next) const {
  const Churned start = churn(*this, denoiser, x, t, /*in_times=*/false);
  return HeunSolver{.alpha = alpha}(denoiser, start.x, start.t, t_next);
}

void check_churn(const char* who, double S_min, double S_max, double S_noise) {
  check(0 <= S_min && S_min <= S_max, who, ": wants 0 <= S_min <= S_max, got ", S_min, " and ",
        S_max);
  check(0 <= S_noise && std::isfinite(S_noise), who, ": S_noise must be 0 or more, got ", S_noise);
}

}  // namespace brume::diffusion
