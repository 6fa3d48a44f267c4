#include <brume/diffusion/solvers/edm_stochastic.h>

#include <algorithm>
#include <numbers>

#include <brume/autograd/ops/pointwise.h>
#include <brume/diffusion/solvers/deterministic.h>

namespace brume::diffusion {
namespace {

struct Churned {
  Tensor x, t;
};

// x with noise added, and the time t_hat at which it now stands. The two solvers measure what is
// missing up to the new level differently: in times (Euler) or in noise levels (Heun), which is the
// same where sigma is the identity.
Churned churn(const ChurnOptions& o, const Tensor& x, const Tensor& t, bool in_times) {
  check(o.noise != nullptr, "EDM stochastic solver: wants a noise source");
  check(static_cast<bool>(o.sigma) == static_cast<bool>(o.sigma_inv),
        "EDM stochastic solver: give both sigma and sigma_inv, or neither");
  check(o.num_steps >= 1 && o.S_churn >= 0,
        "EDM stochastic solver: wants num_steps >= 1 and S_churn >= 0, got ", o.num_steps, " and ",
        o.S_churn);
  const double most =
      std::min(o.S_churn / static_cast<double>(o.num_steps), std::numbers::sqrt2 - 1);
  const Tensor level = o.sigma ? o.sigma(t) : t;
  const Tensor gamma = where(logical_and(ge(level, o.S_min), le(level, o.S_max)),
                             full({}, most, {.dtype = t.dtype(), .device = t.device()}), 0);
  const Tensor raised = level + gamma * level;
  const Tensor t_hat = o.sigma_inv ? o.sigma_inv(raised) : raised;
  const Tensor missing = in_times ? square(t_hat) - square(t) : square(raised) - square(level);
  const Tensor g2 = o.diffusion ? o.diffusion(x, t) : 2.0 * per_sample(t, x);
  const Tensor amplitude =
      per_sample(sqrt(clamp_min(missing, 0)) * o.S_noise, x) * sqrt(g2 / (2.0 * per_sample(t, x)));
  const Tensor n = o.noise->normal(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  return {gated_residual(x, where(eq(per_sample(t, x), 0), 0, amplitude), n), t_hat};
}

}  // namespace

Tensor EDMStochasticEulerSolver::operator()(const Denoiser& denoiser, const Tensor& x,
                                            const Tensor& t, const Tensor& t_next) const {
  const Churned start = churn(*this, x, t, /*in_times=*/true);
  return EulerSolver{}(denoiser, start.x, start.t, t_next);
}

Tensor EDMStochasticHeunSolver::operator()(const Denoiser& denoiser, const Tensor& x,
                                           const Tensor& t, const Tensor& t_next) const {
  const Churned start = churn(*this, x, t, /*in_times=*/false);
  return HeunSolver{.alpha = alpha}(denoiser, start.x, start.t, t_next);
}

}  // namespace brume::diffusion
