#include <brume/diffusion/solvers/exponential.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

struct StepLevels {
  SampleLevels now, next;
};

// In f64, whatever the dtype of the times, and on the host, where the coefficients are made: a
// device is asked for its times alone, once a step.
StepLevels levels_of_step(const LinearGaussianNoiseScheduler& s, const Tensor& t,
                          const Tensor& t_next) {
  const Tensor times = convert(transfer(cat({t, t_next}, 0), kCpu), DType::f64);
  const auto of_times = times.to_vector<double>(), alpha = s.alpha(times).to_vector<double>(),
             sigma = s.sigma(times).to_vector<double>();
  const auto batch = static_cast<size_t>(t.numel());
  const auto levels = [&](size_t from) {
    SampleLevels out;
    for (size_t i = from; i < from + batch; ++i) {
      out.t.push_back(of_times[i]);
      out.alpha.push_back(alpha[i]);
      out.sigma.push_back(sigma[i]);
      out.lambda.push_back(std::log(alpha[i] / sigma[i]));  // infinite where one of them is 0
    }
    return out;
  };
  return {levels(0), levels(batch)};
}

// From one lambda to another: 0 between two where no alpha is left.
double lambda_step(double from, double to) { return from == to ? 0 : to - from; }

// One coefficient per sample, shaped to multiply x.
template <class F>
Tensor coefficient(const Tensor& x, F&& of_sample) {
  std::vector<double> values;
  for (int64_t i = 0; i < x.size(0); ++i) values.push_back(of_sample(static_cast<size_t>(i)));
  const Tensor c = convert(from_vector(values, {x.size(0)}), x.dtype());
  return per_sample(transfer(c, x.device()), x);
}

const LinearGaussianNoiseScheduler& required(const LinearGaussianNoiseScheduler* scheduler,
                                             const char* who) {
  check(scheduler != nullptr, who, ": wants a scheduler");
  return *scheduler;
}

void check_noise(const char* who, double eta, const NoiseSource* noise) {
  check(eta == 0 || noise != nullptr, who, ": eta = ", eta, " wants a noise source");
}

Tensor predict(const char* who, const LinearGaussianNoiseScheduler& scheduler, const Denoiser& x0,
               const Tensor& x, const Tensor& t) {
  x0.check_gives(DenoisingType::x0, who);
  check(!x0.process() || same_levels(*x0.process(), scheduler, t), who,
        ": its scheduler and the denoiser's have other noise levels; give it the denoiser's");
  Tensor prediction = x0(x, t);
  check(prediction.shape() == x.shape(), who, ": the prediction is ", prediction.shape(),
        " for x of ", x.shape());
  return prediction;
}

}  // namespace

Tensor DDIMSolver::operator()(const Denoiser& x0, const Tensor& x, const Tensor& t,
                              const Tensor& t_next) const {
  const auto& s = required(scheduler, "DDIMSolver");
  check(eta >= 0 && eta <= 1, "DDIMSolver: eta must be in [0, 1], got ", eta);
  check_noise("DDIMSolver", eta, noise);
  const StepLevels levels = levels_of_step(s, t, t_next);
  const SampleLevels &now = levels.now, &next = levels.next;
  // The share of the new noise: eta^2 times the variance of x_next given x and x0.
  const auto fresh = [&](size_t i) {
    const double shrinks = now.alpha[i] == next.alpha[i] ? 1 : now.alpha[i] / next.alpha[i];
    const double kept = shrinks * next.sigma[i];
    return eta * next.sigma[i] / now.sigma[i] *
           std::sqrt(std::max(now.sigma[i] * now.sigma[i] - kept * kept, 0.0));
  };
  const auto old = [&](size_t i) {  // factor of x - alpha x0
    const double f = fresh(i);
    return std::sqrt(std::max(next.sigma[i] * next.sigma[i] - f * f, 0.0)) / now.sigma[i];
  };
  const Tensor moved =
      combine(coefficient(x, old), x,
              coefficient(x, [&](size_t i) { return next.alpha[i] - now.alpha[i] * old(i); }),
              predict("DDIMSolver", s, x0, x, t));
  return eta == 0 ? moved : gated_residual(moved, coefficient(x, fresh), noise->normal_like(x));
}

StepEnd::StepEnd(const SampleLevels& levels, Tensor x)
    : t_(levels.t), x_(std::move(x)), version_(x_.version()) {}

bool StepEnd::leads_to(const SampleLevels& now, const Tensor& x) const {
  return x_.defined() && t_ == now.t && x.data() == x_.data() && x.shape() == x_.shape() &&
         x.strides() == x_.strides() && x.version() == version_;
}

DPMSolverPlusPlus::DPMSolverPlusPlus(Options options) : options_(options) {
  (void)required(options.scheduler, "DPMSolverPlusPlus");
  check(options.eta >= 0, "DPMSolverPlusPlus: eta must not be negative, got ", options.eta);
  check_noise("DPMSolverPlusPlus", options.eta, options.noise);
}

Tensor DPMSolverPlusPlus::operator()(const Denoiser& x0, const Tensor& x, const Tensor& t,
                                     const Tensor& t_next) {
  const auto levels = levels_of_step(*options_.scheduler, t, t_next);
  const SampleLevels &now = levels.now, &next = levels.next;
  const Tensor prediction = predict("DPMSolverPlusPlus", *options_.scheduler, x0, x, t);
  const auto h = [&](size_t i) { return lambda_step(now.lambda[i], next.lambda[i]); };  // or inf
  const double eta = options_.eta;
  // x_next = e^(-eta h) sigma_next / sigma x + alpha_next (1 - e^(-h - eta h)) D, D the prediction
  // extrapolated to the middle of the step.
  Tensor middle = prediction;
  if (last_step_.leads_to(now, x)) {
    const Tensor ahead = coefficient(x, [&](size_t i) {
      // Neither a step without end nor a prediction at an infinite distance has a middle.
      return std::isinf(h(i)) || std::isinf(last_.at.lambda[i])
                 ? 0
                 : h(i) / (2 * (now.lambda[i] - last_.at.lambda[i]));
    });
    middle = gated_residual(prediction, ahead, prediction - last_.x0);
  }
  Tensor moved = combine(
      coefficient(x,
                  [&](size_t i) {
                    const double decay = eta == 0 ? 1 : std::exp(-eta * h(i));  // h may be inf
                    return next.sigma[i] == 0 ? 0 : decay * next.sigma[i] / now.sigma[i];
                  }),
      x, coefficient(x, [&](size_t i) { return -next.alpha[i] * std::expm1(-(1 + eta) * h(i)); }),
      middle);
  if (eta > 0) {
    const Tensor amount = coefficient(x, [&](size_t i) {
      return next.sigma[i] == 0 ? 0 : next.sigma[i] * std::sqrt(-std::expm1(-2 * eta * h(i)));
    });
    moved = gated_residual(moved, amount, options_.noise->normal_like(x));
  }
  last_ = {prediction, now};
  last_step_ = StepEnd(next, moved);
  return moved;
}

namespace {

// Solves sum_k rho_k r_k^i = b_i, i = 0 ... size - 1, for at most 3 different r.
std::vector<double> vandermonde_weights(const std::vector<double>& r,
                                        const std::vector<double>& b) {
  const size_t p = r.size();
  std::array<std::array<double, 4>, 3> m{};
  for (size_t i = 0; i < p; ++i) {
    for (size_t k = 0; k < p; ++k) m[i][k] = std::pow(r[k], static_cast<double>(i));
    m[i][3] = b[i];
  }
  for (size_t c = 0; c < p; ++c)
    for (size_t i = 0; i < p; ++i) {
      if (i == c) continue;
      const double factor = m[i][c] / m[c][c];
      for (size_t k = 0; k < 4; ++k) m[i][k] -= factor * m[c][k];
    }
  std::vector<double> rho(p);
  for (size_t i = 0; i < p; ++i) rho[i] = m[i][3] / m[i][i];
  return rho;
}

// The weights rho_k of differences of predictions at relative places r_k; eq. 5 and appendix B of
// the paper, whose simpler 1/2 for a single difference has the same order.
std::vector<double> unipc_weights(double h, const std::vector<double>& r) {
  if (r.size() <= 1) return std::vector<double>(r.size(), 0.5);
  std::vector<double> b;
  const double scale = std::expm1(-h);  // -h phi_1(-h), and B(h)
  double phi = scale / -h - 1, factorial = 1;
  for (size_t i = 0; i < r.size(); ++i) {
    b.push_back(phi * factorial / scale);
    factorial *= static_cast<double>(i + 2);
    phi = phi / -h - 1 / factorial;
  }
  return vandermonde_weights(r, b);
}

// x at `to` from `start`, where `base` was predicted, and predictions elsewhere.
Tensor unipc_update(const Tensor& start, const PastPrediction& base,
                    const std::vector<PastPrediction>& others, const SampleLevels& to) {
  std::vector<std::vector<double>> weights(others.size() + 1);  // of base, then of the others
  for (size_t i = 0; i < to.t.size(); ++i) {
    const double h = lambda_step(base.at.lambda[i], to.lambda[i]);
    const double gain = -to.alpha[i] * std::expm1(-h);
    // Predictions at a finite distance; of a step without end, or of no length, there are none.
    std::vector<size_t> near;
    std::vector<double> r;
    for (size_t k = 0; k < others.size() && h != 0 && std::isfinite(h); ++k)
      if (const double lambda = others[k].at.lambda[i]; std::isfinite(lambda)) {
        near.push_back(k + 1);
        r.push_back((lambda - base.at.lambda[i]) / h);
      }
    const std::vector<double> rho = unipc_weights(h, r);
    for (std::vector<double>& of_prediction : weights) of_prediction.push_back(0);
    double rest = gain;
    for (size_t k = 0; k < near.size(); ++k) rest -= weights[near[k]].back() = gain * rho[k] / r[k];
    weights[0].back() = rest;
  }
  const auto weight = [&](size_t k) {
    return coefficient(start, [&](size_t i) { return weights[k][i]; });
  };
  const Tensor kept = coefficient(start, [&](size_t i) { return to.sigma[i] / base.at.sigma[i]; });
  Tensor x = combine(kept, start, weight(0), base.x0);
  for (size_t k = 0; k < others.size(); ++k) x = gated_residual(x, weight(k + 1), others[k].x0);
  return x;
}

}  // namespace

UniPCSolver::UniPCSolver(Options options) : options_(options) {
  (void)required(options.scheduler, "UniPCSolver");
  check(options.order >= 1 && options.order <= 3, "UniPCSolver: order must be 1, 2 or 3, got ",
        options.order);
}

Tensor UniPCSolver::operator()(const Denoiser& x0, const Tensor& x, const Tensor& t,
                               const Tensor& t_next) {
  const auto levels = levels_of_step(*options_.scheduler, t, t_next);
  const SampleLevels &now = levels.now, &next = levels.next;
  if (!last_step_.leads_to(now, x)) past_.clear();
  const PastPrediction here{predict("UniPCSolver", *options_.scheduler, x0, x, t), now};
  corrected_ = past_.empty() ? x : [&] {
    std::vector<PastPrediction> others(past_.begin() + 1, past_.end());
    others.push_back(here);
    return unipc_update(corrected_, past_[0], others, now);
  }();
  const std::vector<PastPrediction> others(
      past_.begin(), past_.begin() + std::min<int64_t>(std::ssize(past_), options_.order - 1));
  Tensor moved = unipc_update(corrected_, here, others, next);
  past_.insert(past_.begin(), here);
  past_.resize(std::min(past_.size(), static_cast<size_t>(options_.order)));
  last_step_ = StepEnd(next, moved);
  return moved;
}

}  // namespace brume::diffusion
