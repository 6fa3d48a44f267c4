#include <brume/diffusion/schedulers/linear_gaussian.h>

#include <brume/autograd/ops/pointwise.h>

namespace brume::diffusion {
namespace {

Predictor as_x0(const LinearGaussianNoiseScheduler& s, DenoiserOptions options) {
  if (options.x0) return std::move(options.x0);
  if (options.v)
    return [&s, v = std::move(options.v)](const Tensor& x, const Tensor& t) {
      return s.v_to_x0(v(x, t), x, t);
    };
  if (options.epsilon)
    return [&s, epsilon = std::move(options.epsilon)](const Tensor& x, const Tensor& t) {
      return s.epsilon_to_x0(epsilon(x, t), x, t);
    };
  return [&s, score = std::move(options.score)](const Tensor& x, const Tensor& t) {
    return s.score_to_x0(score(x, t), x, t);
  };
}

// A prediction for x; combine would broadcast one of another shape.
Tensor checked(Tensor prediction, const Tensor& x) {
  check(prediction.shape() == x.shape(), "denoiser: the predictor returned ", prediction.shape(),
        " for x of ", x.shape());
  return prediction;
}

}  // namespace

using Scheduler = LinearGaussianNoiseScheduler;

Tensor Scheduler::alpha(const Tensor& t) const { return ones_like(t); }
Tensor Scheduler::alpha_dot(const Tensor& t) const { return zeros_like(t); }

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

Tensor Scheduler::x0_to_v(const Tensor& x0, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, x0), a = alpha(tb), s = sigma(tb);
  return combine(a / s, x_t, -(square(a) + square(s)) / s, x0);
}

// v and x_t are alpha, sigma times a rotation of x0 and epsilon; these two turn it back, and divide
// neither by alpha nor by sigma, which may be 0.
Tensor Scheduler::v_to_x0(const Tensor& v, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, v), a = alpha(tb), s = sigma(tb), scale = square(a) + square(s);
  return combine(a / scale, x_t, -s / scale, v);
}

Tensor Scheduler::v_to_epsilon(const Tensor& v, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, v), a = alpha(tb), s = sigma(tb), scale = square(a) + square(s);
  return combine(s / scale, x_t, a / scale, v);
}

Tensor Scheduler::epsilon_to_v(const Tensor& epsilon, const Tensor& x_t, const Tensor& t) const {
  const Tensor tb = per_sample(t, epsilon), a = alpha(tb), s = sigma(tb);
  return combine((square(a) + square(s)) / a, epsilon, -s / a, x_t);
}

Tensor Scheduler::score_to_v(const Tensor& score, const Tensor& x_t, const Tensor& t) const {
  return epsilon_to_v(score_to_epsilon(score, t), x_t, t);
}

Tensor Scheduler::v_to_score(const Tensor& v, const Tensor& x_t, const Tensor& t) const {
  return epsilon_to_score(v_to_epsilon(v, x_t, t), t);
}

Tensor Scheduler::draw_noise(const Shape& shape, NoiseSource& noise, TensorOptions options) const {
  return noise.normal(shape, options);
}

Tensor Scheduler::add_noise(const Tensor& x0, const Tensor& t, Generator& rng) const {
  const Tensor tb = per_sample(t, x0);
  NoiseSource source(rng);
  const Tensor n = draw_noise(x0.shape(), source, {.dtype = x0.dtype(), .device = x0.device()});
  return combine(alpha(tb), x0, sigma(tb), n);
}

Tensor Scheduler::init_latents(const Shape& shape, const Tensor& tN, NoiseSource& noise,
                               TensorOptions options) const {
  check_times("init_latents", tN, shape);
  const Tensor n = draw_noise(shape, noise, options);
  return n * convert(sigma(per_sample(tN, n)), n.dtype());
}

bool same_levels(const Scheduler& a, const Scheduler& b, const Tensor& t) {
  if (&a == &b) return true;
  const Tensor at = transfer(t, kCpu);
  return a.sigma(at).to_vector<double>() == b.sigma(at).to_vector<double>() &&
         a.alpha(at).to_vector<double>() == b.alpha(at).to_vector<double>();
}

Denoiser denoiser(const Scheduler& s, DenoiserOptions options) {
  const int given = (options.x0 ? 1 : 0) + (options.score ? 1 : 0) + (options.epsilon ? 1 : 0) +
                    (options.v ? 1 : 0);
  check(given == 1, "denoiser: wants exactly one of x0, score, epsilon and v, got ", given);
  for (Predictor* predictor : {&options.x0, &options.score, &options.epsilon, &options.v})
    if (*predictor)
      *predictor = [f = std::move(*predictor)](const Tensor& x, const Tensor& t) {
        return checked(f(x, t), x);
      };
  const DenoisingType type = options.type;
  if (type == DenoisingType::x0) return {as_x0(s, std::move(options)), type, s};
  if (options.v)
    options.epsilon = [&s, v = std::move(options.v)](const Tensor& x, const Tensor& t) {
      return s.v_to_epsilon(v(x, t), x, t);
    };
  // The score's share of g^2: a half for the ODE, all for the SDE.
  const double share = type == DenoisingType::ode ? 0.5 : 1;
  Predictor rate;
  if (options.x0) {  // score = (alpha x0 - x) / sigma^2
    rate = [&s, share, x0 = std::move(options.x0)](const Tensor& x, const Tensor& t) {
      const Tensor tb = per_sample(t, x);
      const Tensor pull = s.diffusion(x, t) * share / square(s.sigma(tb));
      return combine(pull, x, -pull * s.alpha(tb), x0(x, t)) + s.drift(x, t);
    };
  } else if (options.epsilon) {  // score = -epsilon / sigma
    rate = [&s, share, epsilon = std::move(options.epsilon)](const Tensor& x, const Tensor& t) {
      const Tensor factor = s.diffusion(x, t) * share / s.sigma(per_sample(t, x));
      return gated_residual(s.drift(x, t), factor, epsilon(x, t));
    };
  } else {
    rate = [&s, share, score = std::move(options.score)](const Tensor& x, const Tensor& t) {
      return gated_residual(s.drift(x, t), s.diffusion(x, t) * -share, score(x, t));
    };
  }
  return {[rate = std::move(rate)](const Tensor& x, const Tensor& t) {
            check_times("denoiser", t, x.shape());
            return rate(x, t);
          },
          type, s};
}

}  // namespace brume::diffusion
