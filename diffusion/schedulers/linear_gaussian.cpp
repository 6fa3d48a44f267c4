#include <brume/diffusion/schedulers/linear_gaussian.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>

namespace brume::diffusion {
namespace {

// Half of g^2 / sigma^2, the rate at which noise is added relative to its level.
Tensor half_rate(const LinearGaussianNoiseScheduler& s, const Tensor& t) {
  return s.sigma_dot(t) / s.sigma(t) - s.alpha_dot(t) / s.alpha(t);
}

}  // namespace

using Scheduler = LinearGaussianNoiseScheduler;

Tensor Scheduler::drift(const Tensor& x, const Tensor& t) const {
  const Tensor tb = per_sample(t, x);
  return x * (alpha_dot(tb) / alpha(tb));
}

Tensor Scheduler::diffusion(const Tensor& x, const Tensor& t) const {
  const Tensor tb = per_sample(t, x), s = sigma(tb);
  return 2.0 * sigma_dot(tb) * s - 2.0 * (alpha_dot(tb) / alpha(tb)) * square(s);
}

Tensor Scheduler::x0_to_score(const Tensor& x0, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, x0);
  return (alpha(tb) * x0 - x_t) / square(sigma(tb));
}

Tensor Scheduler::score_to_x0(const Tensor& score, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, score);
  return (x_t + square(sigma(tb)) * score) / alpha(tb);
}

Tensor Scheduler::epsilon_to_score(const Tensor& epsilon, const Tensor& t) const {
  return -epsilon / sigma(per_sample(t, epsilon));
}

Tensor Scheduler::score_to_epsilon(const Tensor& score, const Tensor& t) const {
  return -sigma(per_sample(t, score)) * score;
}

Tensor Scheduler::epsilon_to_x0(const Tensor& epsilon, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, epsilon);
  return (x_t - sigma(tb) * epsilon) / alpha(tb);
}

Tensor Scheduler::x0_to_epsilon(const Tensor& x0, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, x0);
  return (x_t - alpha(tb) * x0) / sigma(tb);
}

Tensor Scheduler::add_noise(const Tensor& x0, const Tensor& t, Generator& rng) const {
  const Tensor tb = per_sample(t, x0);
  const Tensor noise = normal(x0.shape(), rng, {.dtype = x0.dtype(), .device = x0.device()});
  return combine(alpha(tb), x0, sigma(tb), noise);
}

Tensor Scheduler::init_latents(const Shape& shape, const Tensor& tN, NoiseSource& noise,
                               TensorOptions options) const {
  const Tensor n = noise.normal(shape, options);
  return n * convert(sigma(per_sample(tN, n)), n.dtype());
}

Denoiser denoiser(const Scheduler& s, DenoiserOptions options) {
  const int given = (options.x0 ? 1 : 0) + (options.score ? 1 : 0) + (options.epsilon ? 1 : 0);
  check(given == 1, "denoiser: wants exactly one of x0, score and epsilon, got ", given);
  // The score's share: g^2/2 for the ODE, g^2 for the SDE.
  const double share = options.type == DenoisingType::ode ? 1 : 2;
  if (options.x0)
    // f - share g^2/2 (alpha x0 - x) / sigma^2, gathered into factors of x and x0
    return [&s, share, x0 = std::move(options.x0)](const Tensor& x, const Tensor& t) {
      const Tensor tb = per_sample(t, x), rate = half_rate(s, tb) * share, a = s.alpha(tb);
      return combine(s.alpha_dot(tb) / a + rate, x, -rate * a, x0(x, t));
    };
  if (options.epsilon)  // score = -epsilon / sigma
    return [&s, share, epsilon = std::move(options.epsilon)](const Tensor& x, const Tensor& t) {
      const Tensor tb = per_sample(t, x), rate = half_rate(s, tb) * share;
      return combine(s.alpha_dot(tb) / s.alpha(tb), x, rate * s.sigma(tb), epsilon(x, t));
    };
  return [&s, share, score = std::move(options.score)](const Tensor& x, const Tensor& t) {
    const Tensor tb = per_sample(t, x), rate = half_rate(s, tb) * share;
    return combine(s.alpha_dot(tb) / s.alpha(tb), x, -rate * square(s.sigma(tb)), score(x, t));
  };
}

}  // namespace brume::diffusion
