#include <brume/diffusion/legacy/samplers.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/iddpm_levels.h>
#include <brume/diffusion/legacy/patch_condition.h>
#include <brume/diffusion/legacy/preconditioners.h>
#include <brume/diffusion/level_grids.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/schedulers/iddpm.h>
#include <brume/diffusion/schedulers/time_grid.h>
#include <brume/diffusion/schedulers/ve.h>
#include <brume/diffusion/schedulers/vp.h>
#include <brume/diffusion/solvers/edm_stochastic.h>
#include <brume/diffusion/vp_levels.h>

namespace brume::diffusion {
namespace {

// The network with everything bound but x and the noise level.
class LegacyNetwork {
 public:
  /// `dtype`: of the x that it will be asked about.
  LegacyNetwork(const char* who, const AnyModel& net, const Tensor& latents,
                const LegacySamplerInputs& inputs, DType dtype)
      : who_(who), net_(net), patching_(inputs.patching), batch_(0) {
    check(latents.rank() == 4, who, ": wants latents [B, C, H, W], got ", latents.shape());
    batch_ = latents.size(0);
    levels_ = dynamic_cast<const NoiseLevels*>(net.module().get());
    LegacySamplerInputs own = inputs;
    for (Tensor* image : {&own.img_lr, &own.mean_hr})
      if (image->defined()) *image = to(*image, dtype);
    condition_ = own.condition.for_batch(batch_, who);
    Tensor image = beside(who, latents, own);
    if (patching_) {
      if (image.defined()) image = patching_->apply(image, own.img_lr);
      condition_ = patch_condition(who, *patching_, condition_, batch_, inputs.locates_patches,
                                   latents.device());
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
  /// The prediction of x0 from x.
  Tensor operator()(const Tensor& x, double sigma) const {
    return patching_ ? patching_->fuse(asked(patching_->apply(x), sigma), batch_) : asked(x, sigma);
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
  Tensor asked(const Tensor& x, double sigma) const {
    const Tensor level = full({x.size(0)}, sigma, {.dtype = x.dtype(), .device = x.device()});
    Tensor prediction = net_(x, level, condition_);
    check(prediction.shape() == x.shape(), who_, ": the network returned ", prediction.shape(),
          " for x of ", x.shape());
    return prediction;
  }

  const char* who_;
  AnyModel net_;
  const GridPatching2D* patching_;
  const NoiseLevels* levels_ = nullptr;
  int64_t batch_;
  Condition condition_;
};

// What the options of both samplers have in common, with the range that the network leaves.
template <class Options>
void check_run(const char* who, const Options& o, double sigma_min, double sigma_max) {
  check_steps(who, o.num_steps);
  check(0 < sigma_min && sigma_min < sigma_max && std::isfinite(sigma_max), who,
        ": wants 0 < sigma_min < sigma_max within the network's range, got ", sigma_min, " and ",
        sigma_max);
  check(0 < o.rho && std::isfinite(o.rho), who, ": rho must be positive, got ", o.rho);
  check(0 <= o.S_churn && std::isfinite(o.S_churn), who, ": S_churn must not be negative, got ",
        o.S_churn);
  check_churn(who, o.S_min, o.S_max, o.S_noise);
}

// x with noise of this standard deviation; a draw is taken in any case, as in the reference.
Tensor with_noise(const Tensor& x, double deviation, NoiseSource& noise) {
  if (deviation != 0) return add_scaled(x, noise.normal_like(x), deviation);
  noise.skip_normal_like(x);
  return x;
}

// a x + b y
Tensor blend(double a, const Tensor& x, double b, const Tensor& y) {
  const TensorOptions options{.dtype = x.dtype(), .device = x.device()};
  return combine(scalar(a, options), x, scalar(b, options), y);
}

// Place i of n, from 0 to 1.
double fraction_of(int64_t i, int64_t n) {
  return static_cast<double>(i) / static_cast<double>(n - 1);
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
  const LegacyNetwork network("stochastic_sampler", net, latents, inputs, latents.dtype());
  const double low = std::max(o.sigma_min, network.levels().sigma_min());
  const double high = std::min(o.sigma_max, network.levels().sigma_max());
  check_run("stochastic_sampler", o, low, high);
  std::vector<double> t;
  for (int64_t i = 0; i < o.num_steps; ++i)
    t.push_back(network.rounded(edm_level(fraction_of(i, o.num_steps), low, high, o.rho)));
  t.push_back(0);

  const auto slope = [&](const Tensor& x, double sigma) { return (x - network(x, sigma)) / sigma; };
  Tensor x = latents * t[0];
  for (size_t i = 0; i + 1 < t.size(); ++i) {
    const bool churns = o.S_min <= t[i] && t[i] <= o.S_max;
    const double gamma = churns ? o.S_churn / static_cast<double>(o.num_steps) : 0;
    const double t_hat = network.rounded(t[i] + gamma * t[i]);
    const double added = std::sqrt(std::max(t_hat * t_hat - t[i] * t[i], 0.0)) * o.S_noise;
    const Tensor x_hat = with_noise(x, added, noise);
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

// sigma(t) and s(t) with their derivatives.
struct Curve {
  Schedule schedule;
  Scaling scaling;
  double beta_d, beta_min;

  double sigma(double t) const {
    switch (schedule) {
      case Schedule::vp:
        return vp_level(t, beta_d, beta_min);
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
        return vp_level_inv(sigma, beta_d, beta_min);
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
template <class Config>
Range range_of(const Config& scheduler) {
  return {scheduler.sigma_min, scheduler.sigma_max};
}
Range default_range(const DeterministicSamplerOptions& o) {
  switch (o.discretization) {
    case Discretization::vp: {
      const VPNoiseSchedulerConfig vp;
      return {vp_level(o.epsilon_s, vp.beta_d, vp.beta_min), vp_level(1.0, vp.beta_d, vp.beta_min)};
    }
    case Discretization::ve:
      return range_of(VENoiseSchedulerConfig());
    case Discretization::iddpm:
      return range_of(IDDPMNoiseSchedulerConfig());
    case Discretization::edm:
      break;
  }
  return range_of(EDMNoiseSchedulerConfig());
}

std::vector<double> iddpm_table(const DeterministicSamplerOptions& o, Range range) {
  std::vector<double> u = iddpm_levels_f64("deterministic_sampler", o.M, o.C_1, o.C_2);
  std::erase_if(u,
                [&](double level) { return level < range.sigma_min || level > range.sigma_max; });
  check(!u.empty(), "deterministic_sampler: no level of the table is between ", range.sigma_min,
        " and ", range.sigma_max);
  return u;
}

std::vector<double> noise_levels(const DeterministicSamplerOptions& o, Range range,
                                 const Curve& curve) {
  std::vector<double> out, table;
  if (o.discretization == Discretization::iddpm) table = iddpm_table(o, range);
  for (int64_t i = 0; i < o.num_steps; ++i) {
    const double f = fraction_of(i, o.num_steps);
    switch (o.discretization) {
      case Discretization::vp:
        out.push_back(vp_level(1 + f * (o.epsilon_s - 1), curve.beta_d, curve.beta_min));
        break;
      case Discretization::ve:
        out.push_back(std::sqrt(ve_time(f, range.sigma_min, range.sigma_max)));
        break;
      case Discretization::edm:
        out.push_back(edm_level(f, range.sigma_min, range.sigma_max, o.rho));
        break;
      case Discretization::iddpm: {
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
  const LegacyNetwork network(who, net, latents, inputs, DType::f32);
  check(is_floating(o.dtype), who, ": wants a floating dtype to integrate in, got ", o.dtype);
  Range range = default_range(o);
  range.sigma_min = std::max(o.sigma_min.value_or(range.sigma_min), network.levels().sigma_min());
  range.sigma_max = std::min(o.sigma_max.value_or(range.sigma_max), network.levels().sigma_max());
  check_run(who, o, range.sigma_min, range.sigma_max);
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

  // dx/dt = of_x x + of_x0 x0
  struct Slope {
    double of_x, of_x0;
    Tensor x0;
  };
  const auto slope = [&](const Tensor& x, double at) {
    const double scale = c.s(at), rate = c.sigma_dot(at) / c.sigma(at);
    const Tensor input = to(scale == 1 ? x : x / scale, DType::f32);
    return Slope{rate + c.s_dot(at) / scale, -rate * scale,
                 to(network(input, c.sigma(at)), o.dtype)};
  };
  // x after h of this slope.
  const auto moved = [](const Tensor& x, const Slope& d, double h) {
    return blend(1 + h * d.of_x, x, h * d.of_x0, d.x0);
  };
  Tensor x = to(latents, o.dtype) * (c.sigma(t[0]) * c.s(t[0]));
  for (size_t i = 0; i + 1 < t.size(); ++i) {
    const double sigma = c.sigma(t[i]);
    const bool churns = o.S_min <= sigma && sigma <= o.S_max;
    const double gamma =
        churns ? std::min(o.S_churn / static_cast<double>(o.num_steps), std::numbers::sqrt2 - 1)
               : 0;
    const double t_hat = c.sigma_inv(network.rounded(sigma * (1 + gamma))), up = c.sigma(t_hat);
    const double added = std::sqrt(std::max(up * up - sigma * sigma, 0.0)) * c.s(t_hat) * o.S_noise;
    const double rescaled = c.s(t_hat) / c.s(t[i]);
    const Tensor x_hat = with_noise(rescaled == 1 ? x : x * rescaled, added, noise);
    const double h = t[i + 1] - t_hat;
    const Slope d = slope(x_hat, t_hat);
    if (o.solver == LegacySolver::euler || i + 2 == t.size()) {
      x = moved(x_hat, d, h);
    } else {
      const double second = h / (2 * o.alpha);
      const Tensor probe = moved(x_hat, d, o.alpha * h);
      const Slope there = slope(probe, t_hat + o.alpha * h);
      x = moved(x_hat, d, h - second) +
          blend(second * there.of_x, probe, second * there.of_x0, there.x0);
    }
    if (!goes_on(who, o.on_step, static_cast<int64_t>(i) + 1, o.num_steps, sigma, x)) break;
  }
  return x;
}

}  // namespace brume::diffusion
