#include <brume/diffusion/solvers/deterministic.h>

#include <algorithm>

#include <brume/autograd/ops/pointwise.h>
#include <brume/core/recording.h>

namespace brume::diffusion {
namespace {

// Saves the last step's second evaluation. In a captured step the host cannot look, nor needs to:
// what follows gives the same x, by a second order that counts for nothing.
bool ends_at_zero(const Tensor& t_next) {
  const std::vector<double> next = t_next.to_vector<double>();
  return std::all_of(next.begin(), next.end(), [](double time) { return time == 0; });
}

}  // namespace

Tensor EulerSolver::operator()(const Denoiser& denoiser, const Tensor& x, const Tensor& t,
                               const Tensor& t_next) const {
  denoiser.check_gives(DenoisingType::ode, "EulerSolver");
  return gated_residual(x, per_sample(t_next - t, x), denoiser(x, t));
}

Tensor HeunSolver::operator()(const Denoiser& denoiser, const Tensor& x, const Tensor& t,
                              const Tensor& t_next) const {
  denoiser.check_gives(DenoisingType::ode, "HeunSolver");
  check(alpha > 0 && alpha <= 1, "HeunSolver: alpha must be in (0, 1], got ", alpha);
  const Tensor h = t_next - t;
  const Tensor slope = denoiser(x, t);
  if (!Recording::current() && ends_at_zero(t_next))
    return gated_residual(x, per_sample(h, x), slope);
  // The corrector's time is recomputed, not t_next: in f32 it may differ, and may round to 0, where
  // no network can be asked.
  const Tensor probe = t + h * alpha;
  const Tensor there = where(eq(probe, 0), t, probe);
  const Tensor slope_there = denoiser(gated_residual(x, per_sample(h * alpha, x), slope), there);
  // Second-order weights, or (1, 0) where the step ends at 0.
  const Tensor second = where(eq(t_next, 0), 0, h / (2 * alpha));
  return gated_residual(gated_residual(x, per_sample(h - second, x), slope), per_sample(second, x),
                        slope_there);
}

}  // namespace brume::diffusion
