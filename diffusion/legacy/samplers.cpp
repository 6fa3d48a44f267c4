#include <brume/diffusion/legacy/samplers.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/legacy/preconditioners.h>

namespace brume::diffusion {
namespace {

// The network with everything bound but x and the noise level.
class LegacyNetwork {
 public:
  LegacyNetwork(const char* who, const AnyModel& net, const Tensor& latents,
                const LegacySamplerInputs& inputs)
      : net_(net), patching_(inputs.patching), batch_(0) {
    check(latents.rank() == 4, who, ": wants latents [B, C, H, W], got ", latents.shape());
    batch_ = latents.size(0);
    levels_ = dynamic_cast<const NoiseLevels*>(net.module().get());
    condition_ = inputs.condition;
    Tensor image = beside(who, latents, inputs);
    if (patching_) {
      if (image.defined()) image = patching_->apply(image, inputs.img_lr);
      if (inputs.locates_patches)
        condition_ = condition_.with("global_index", patching_->global_index_of_rows(batch_));
    }
    condition_ = condition_.with(levels().image_key(), image);
  }

  const NoiseLevels& levels() const {
    static const NoiseLevels kAny;
    return levels_ ? *levels_ : kAny;
  }
  double rounded(double sigma) const {
    return levels().round_sigma(scalar(sigma, {.dtype = DType::f64})).item();
  }
  /// The prediction of x0 from x in f32.
  Tensor operator()(const Tensor& x, double sigma) const {
    const Tensor level = full({1}, sigma, {.dtype = x.dtype(), .device = x.device()});
    if (!patching_) return checked(net_(x, level, condition_), x);
    const Tensor patches = patching_->apply(x);
    return patching_->fuse(checked(net_(patches, level, condition_), patches), batch_);
  }

 private:
  static Tensor beside(const char* who, const Tensor& latents, const LegacySamplerInputs& inputs) {
    const auto fits = [&](const Tensor& x, bool may_expand) {
      return x.rank() == 4 && x.size(2) == latents.size(2) && x.size(3) == latents.size(3) &&
             (x.size(0) == latents.size(0) || (may_expand && x.size(0) == 1));
    };
    const Tensor &low = inputs.img_lr, &mean = inputs.mean_hr;
    check(!low.defined() || fits(low, false), who, ": img_lr of ", shape_of(low),
          " does not fit latents of ", latents.shape(), "; all axes but the channels must agree");
    if (!mean.defined()) return low;
    check(fits(mean, true), who, ": mean_hr of ", mean.shape(), " does not fit latents of ",
          latents.shape());
    const Tensor all = expand(mean, {latents.size(0), -1, -1, -1});
    return low.defined() ? cat({all, low}, 1) : all;
  }
  static Shape shape_of(const Tensor& x) { return x.defined() ? x.shape() : Shape{}; }
  static Tensor checked(Tensor prediction, const Tensor& x) {
    check(prediction.shape() == x.shape(), "sampler: the network returned ", prediction.shape(),
          " for x of ", x.shape());
    return prediction;
  }

  AnyModel net_;
  const GridPatching2D* patching_;
  const NoiseLevels* levels_ = nullptr;
  int64_t batch_;
  Condition condition_;
};

void check_run(const char* who, int64_t num_steps, double sigma_min, double sigma_max,
               double S_churn) {
  check(num_steps >= 2, who, ": wants at least 2 steps, got ", num_steps);
  check(0 < sigma_min && sigma_min < sigma_max, who,
        ": wants 0 < sigma_min < sigma_max within the network's range, got ", sigma_min, " and ",
        sigma_max);
  check(S_churn >= 0, who, ": S_churn must not be negative, got ", S_churn);
}

std::vector<double> polynomial_levels(double sigma_min, double sigma_max, double rho, int64_t n) {
  check(rho > 0, "sampler: rho must be positive, got ", rho);
  const double first = std::pow(sigma_max, 1 / rho), last = std::pow(sigma_min, 1 / rho);
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i)
    out.push_back(std::pow(
        first + static_cast<double>(i) / static_cast<double>(n - 1) * (last - first), rho));
  return out;
}

// Ends a run that went wrong; false if the caller wants no more steps.
bool goes_on(const char* who, const OnLegacyStep& on_step, int64_t step, int64_t steps,
             double sigma, const Tensor& x) {
  if (!std::isfinite(sum(x).item()) && all(isfinite(x)).item() == 0)
    throw Error(cat(who, ": x is not finite after step ", step, " of ", steps,
                    ", from noise level ", sigma));
  return !on_step || on_step(step, x);
}

}  // namespace

Tensor stochastic_sampler(const AnyModel& net, const Tensor& latents,
                          const LegacySamplerInputs& inputs, NoiseSource& noise,
                          const StochasticSamplerOptions& o) {
  const LegacyNetwork network("stochastic_sampler", net, latents, inputs);
  const double low = std::max(o.sigma_min, network.levels().sigma_min());
  const double high = std::min(o.sigma_max, network.levels().sigma_max());
  check_run("stochastic_sampler", o.num_steps, low, high, o.S_churn);
  std::vector<double> t;
  for (double sigma : polynomial_levels(low, high, o.rho, o.num_steps))
    t.push_back(network.rounded(sigma));
  t.push_back(0);

  const auto slope = [&](const Tensor& x, double sigma) { return (x - network(x, sigma)) / sigma; };
  Tensor x = latents * t[0];
  for (size_t i = 0; i + 1 < t.size(); ++i) {
    const bool churns = o.S_min <= t[i] && t[i] <= o.S_max;
    const double gamma = churns ? o.S_churn / static_cast<double>(o.num_steps) : 0;
    const double t_hat = network.rounded(t[i] + gamma * t[i]);
    const double added = std::sqrt(std::max(t_hat * t_hat - t[i] * t[i], 0.0)) * o.S_noise;
    const Tensor x_hat = add_scaled(x, noise.normal_like(x), added);
    const Tensor d = slope(x_hat, t_hat);
    const double h = t[i + 1] - t_hat;
    x = add_scaled(x_hat, d, h);
    if (i + 2 < t.size()) x = add_scaled(add_scaled(x_hat, d, h / 2), slope(x, t[i + 1]), h / 2);
    const auto step = static_cast<int64_t>(i) + 1;
    if (!goes_on("stochastic_sampler", o.on_step, step, o.num_steps, t[i], x)) break;
  }
  return x;
}

namespace {

double vp_sigma(double t, double beta_d, double beta_min) {
  return std::sqrt(std::exp(0.5 * beta_d * t * t + beta_min * t) - 1);
}

// sigma(t) and s(t) with their derivatives.
struct Curve {
  Schedule schedule;
  Scaling scaling;
  double beta_d, beta_min;

  double sigma(double t) const {
    switch (schedule) {
      case Schedule::vp:
        return vp_sigma(t, beta_d, beta_min);
      case Schedule::ve:
        return std::sqrt(t);
      case Schedule::linear:
        break;
    }
    return t;
  }
  double sigma_dot(double t) const {
    switch (schedule) {
      case Schedule::vp:
        return 0.5 * (beta_min + beta_d * t) * (sigma(t) + 1 / sigma(t));
      case Schedule::ve:
        return 0.5 / std::sqrt(t);
      case Schedule::linear:
        break;
    }
    return 1;
  }
  double sigma_inv(double sigma) const {
    switch (schedule) {
      case Schedule::vp:
        return (std::sqrt(beta_min * beta_min + 2 * beta_d * std::log(1 + sigma * sigma)) -
                beta_min) /
               beta_d;
      case Schedule::ve:
        return sigma * sigma;
      case Schedule::linear:
        break;
    }
    return sigma;
  }
  double s(double t) const {
    return scaling == Scaling::none ? 1 : 1 / std::sqrt(1 + sigma(t) * sigma(t));
  }
  double s_dot(double t) const {
    return scaling == Scaling::none ? 0 : -sigma(t) * sigma_dot(t) * std::pow(s(t), 3);
  }
};

struct Range {
  double sigma_min, sigma_max;
};
Range default_range(const DeterministicSamplerOptions& o) {
  switch (o.discretization) {
    case Discretization::vp:
      return {vp_sigma(o.epsilon_s, 19.1, 0.1), vp_sigma(1, 19.1, 0.1)};
    case Discretization::ve:
      return {0.02, 100};
    case Discretization::iddpm:
      return {0.002, 81};
    case Discretization::edm:
      break;
  }
  return {0.002, 80};
}

// The reference's table here: the recursion in f64, but its ratios in f32.
std::vector<double> iddpm_table(const DeterministicSamplerOptions& o, Range range) {
  check(o.M >= 2, "deterministic_sampler: M must be at least 2, got ", o.M);
  const auto alpha_bar = [&](int64_t j) {
    const auto angle = static_cast<float>(0.5 * std::numbers::pi * static_cast<double>(j) /
                                          static_cast<double>(o.M) / (o.C_2 + 1));
    const float s = std::sin(angle);
    return s * s;
  };
  std::vector<double> u(static_cast<size_t>(o.M) + 1), kept;
  for (int64_t j = o.M; j > 0; --j) {
    const float ratio = std::max(alpha_bar(j - 1) / alpha_bar(j), static_cast<float>(o.C_1));
    const double level = u[static_cast<size_t>(j)];
    u[static_cast<size_t>(j - 1)] = std::sqrt((level * level + 1) / double{ratio} - 1);
  }
  for (double level : u)
    if (range.sigma_min <= level && level <= range.sigma_max) kept.push_back(level);
  check(!kept.empty(), "deterministic_sampler: no level of the table is between ", range.sigma_min,
        " and ", range.sigma_max);
  return kept;
}

std::vector<double> noise_levels(const DeterministicSamplerOptions& o, Range range,
                                 const Curve& curve) {
  if (o.discretization == Discretization::edm)
    return polynomial_levels(range.sigma_min, range.sigma_max, o.rho, o.num_steps);
  std::vector<double> out, table;
  if (o.discretization == Discretization::iddpm) table = iddpm_table(o, range);
  for (int64_t i = 0; i < o.num_steps; ++i) {
    const double f = static_cast<double>(i) / static_cast<double>(o.num_steps - 1);
    switch (o.discretization) {
      case Discretization::vp:
        out.push_back(vp_sigma(1 + f * (o.epsilon_s - 1), curve.beta_d, curve.beta_min));
        break;
      case Discretization::ve:
        out.push_back(range.sigma_max * std::pow(range.sigma_min / range.sigma_max, f));
        break;
      default: {
        const double stride =
            static_cast<double>(table.size() - 1) / static_cast<double>(o.num_steps - 1);
        out.push_back(table[static_cast<size_t>(std::nearbyint(stride * static_cast<double>(i)))]);
      }
    }
  }
  return out;
}

}  // namespace

Tensor deterministic_sampler(const AnyModel& net, const Tensor& latents,
                             const LegacySamplerInputs& inputs, NoiseSource& noise,
                             const DeterministicSamplerOptions& o) {
  const char* who = "deterministic_sampler";
  const LegacyNetwork network(who, net, latents, inputs);
  Range range = default_range(o);
  range.sigma_min = std::max(o.sigma_min.value_or(range.sigma_min), network.levels().sigma_min());
  range.sigma_max = std::min(o.sigma_max.value_or(range.sigma_max), network.levels().sigma_max());
  check_run(who, o.num_steps, range.sigma_min, range.sigma_max, o.S_churn);
  check(o.C_1 > 0 && o.C_2 >= 0, who, ": C_1 must be positive and C_2 not negative, got ", o.C_1,
        " and ", o.C_2);
  check(o.epsilon_s > 0 && o.epsilon_s < 1, who, ": epsilon_s must be between 0 and 1, got ",
        o.epsilon_s);
  check(o.alpha > 0 && o.alpha <= 1, who, ": alpha must be in (0, 1], got ", o.alpha);
  const double log_max = std::log(range.sigma_max * range.sigma_max + 1);
  const double log_min = std::log(range.sigma_min * range.sigma_min + 1);
  const double beta_d = 2 * (log_min / o.epsilon_s - log_max) / (o.epsilon_s - 1);
  const Curve c{o.schedule, o.scaling, beta_d, log_max - 0.5 * beta_d};
  std::vector<double> t;
  for (double sigma : noise_levels(o, range, c)) t.push_back(c.sigma_inv(network.rounded(sigma)));
  t.push_back(0);

  const auto slope = [&](const Tensor& x, double at) {
    const Tensor input = to(x / c.s(at), DType::f32);
    const Tensor prediction = to(network(input, c.sigma(at)), DType::f64);
    const double rate = c.sigma_dot(at) / c.sigma(at);
    return add_scaled(x * (rate + c.s_dot(at) / c.s(at)), prediction, -rate * c.s(at));
  };
  Tensor x = to(latents, DType::f64) * (c.sigma(t[0]) * c.s(t[0]));
  for (size_t i = 0; i + 1 < t.size(); ++i) {
    const double sigma = c.sigma(t[i]);
    const bool churns = o.S_min <= sigma && sigma <= o.S_max;
    const double gamma =
        churns ? std::min(o.S_churn / static_cast<double>(o.num_steps), std::numbers::sqrt2 - 1)
               : 0;
    const double t_hat = c.sigma_inv(network.rounded(sigma * (1 + gamma))), up = c.sigma(t_hat);
    const double added = std::sqrt(std::max(up * up - sigma * sigma, 0.0)) * c.s(t_hat) * o.S_noise;
    const Tensor x_hat = add_scaled(x * (c.s(t_hat) / c.s(t[i])), noise.normal_like(x), added);
    const double h = t[i + 1] - t_hat;
    const Tensor d = slope(x_hat, t_hat);
    if (o.solver == LegacySolver::euler || i + 2 == t.size()) {
      x = add_scaled(x_hat, d, h);
    } else {
      const double second = h / (2 * o.alpha);
      const Tensor there = slope(add_scaled(x_hat, d, o.alpha * h), t_hat + o.alpha * h);
      x = add_scaled(add_scaled(x_hat, d, h - second), there, second);
    }
    if (!goes_on(who, o.on_step, static_cast<int64_t>(i) + 1, o.num_steps, sigma, x)) break;
  }
  return x;
}

}  // namespace brume::diffusion
