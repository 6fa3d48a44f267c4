// Solvers on mixtures of Gaussians, whose score is known.

#include <cmath>
#include <string>

#include <doctest/doctest.h>

#include <brume/core/replay.h>
#include <brume/diffusion/guidance.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/schedulers/time_grid.h>
#include <brume/diffusion/schedulers/vp.h>
#include <brume/diffusion/solvers/edm_stochastic.h>
#include <brume/diffusion/solvers/exponential.h>

#include "examples/mixture/mixture.h"
#include "tests/error_of.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

const TensorOptions kF64{.dtype = DType::f64};

double order_of(const LinearGaussianNoiseScheduler& s, DenoisingType type, const Solver& solver,
                double from, double to) {
  const Tensor exact =
      carried(s, DenoisingType::x0, UniPCSolver({.scheduler = &s, .order = 3}), from, to, 4000);
  const auto error = [&](int64_t steps) {
    return vector_norm(carried(s, type, solver, from, to, steps) - exact).item();
  };
  return std::log2(error(80) / error(160));
}

// Samples of the mixture by a solver of the SDE. examples/mixture draws 10^5.
constexpr int64_t kCount = 20000;
Tensor sampled(const LinearGaussianNoiseScheduler& s, DenoisingType type, const Solver& solver,
               const Tensor& times, NoiseSource& noise) {
  const Tensor tN = full({kCount}, times.to_vector<double>()[0]);
  return sample(denoiser(s, {.x0 = two_hills().x0(s), .type = type}),
                s.init_latents({kCount, 2}, tN, noise), s, {.solver = solver, .time_steps = times});
}

void check_is_mixture(const std::string& solver, const Tensor& x) {
  INFO(solver);
  Generator rng(77);
  const Tensor exact = two_hills().draw(kCount, rng);
  // Exact moments: means 0 and 0.25; covariance scale^2 I + that of the centres.
  const Tensor centred = x - mean(x, 0, keep_axis);
  const double se = 1.1 / std::sqrt(static_cast<double>(kCount));  // of a mean
  CHECK(std::abs(mean(select(x, 1, 0)).item()) < 3 * se);
  CHECK(std::abs(mean(select(x, 1, 1)).item() - 0.25) < 3 * se);
  CHECK(mean(square(select(centred, 1, 0))).item() == doctest::Approx(1.16).epsilon(0.03).scale(0));
  CHECK(mean(square(select(centred, 1, 1))).item() ==
        doctest::Approx(0.2225).epsilon(0.05).scale(0));  // finite steps add about 4 %
  CHECK(mean(select(centred, 1, 0) * select(centred, 1, 1)).item() ==
        doctest::Approx(-0.25).epsilon(0.05).scale(0));
  const double limit = largest_distance_limit(kCount);
  for (double angle : {0.0, 0.7, 1.4, 2.1}) {
    const auto along = [&](const Tensor& y) {
      return select(y, 1, 0) * std::cos(angle) + select(y, 1, 1) * std::sin(angle);
    };
    CHECK(largest_distance(along(x), along(exact)) < limit);
  }
}

}  // namespace

TEST_CASE("solvers converge on a mixture with their published orders") {
  const EDMNoiseScheduler edm;
  const VPNoiseScheduler vp;
  struct Process {
    const LinearGaussianNoiseScheduler& s;
    double from, to;
  };
  for (const Process& p : {Process{edm, 10, 0.1}, Process{vp, 0.9, 0.05}}) {
    const auto order = [&](DenoisingType type, const Solver& solver) {
      return order_of(p.s, type, solver, p.from, p.to);
    };
    CHECK(order(DenoisingType::ode, EulerSolver{}) == doctest::Approx(1).epsilon(0.1).scale(0));
    CHECK(order(DenoisingType::ode, HeunSolver{}) == doctest::Approx(2).epsilon(0.05).scale(0));
    CHECK(order(DenoisingType::x0, DDIMSolver{.scheduler = &p.s}) ==
          doctest::Approx(1).epsilon(0.1).scale(0));
    CHECK(order(DenoisingType::x0, DPMSolverPlusPlus({.scheduler = &p.s})) ==
          doctest::Approx(2).epsilon(0.1).scale(0));
    CHECK(order(DenoisingType::x0, UniPCSolver({.scheduler = &p.s, .order = 1})) ==
          doctest::Approx(2).epsilon(0.1).scale(0));
    CHECK(order(DenoisingType::x0, UniPCSolver({.scheduler = &p.s, .order = 2})) ==
          doctest::Approx(3).epsilon(0.1).scale(0));
    CHECK(order(DenoisingType::x0, UniPCSolver({.scheduler = &p.s, .order = 3})) ==
          doctest::Approx(4).epsilon(0.1).scale(0));
  }
}

TEST_CASE("stochastic solvers draw from the mixture: moments and a two-sample test") {
  const EDMNoiseScheduler edm;
  const VPNoiseScheduler vp;
  Generator rng(5);
  NoiseSource noise(rng);
  ChurnOptions churn{.noise = &noise, .S_churn = 10, .num_steps = 40};
  check_is_mixture(
      "stochastic Heun",
      sampled(edm, DenoisingType::ode, EDMStochasticHeunSolver{churn}, edm.timesteps(40), noise));
  churn.num_steps = 300;
  check_is_mixture(
      "stochastic Euler",
      sampled(edm, DenoisingType::ode, EDMStochasticEulerSolver{churn}, edm.timesteps(300), noise));
  // Evenly spaced times of VP are far apart in lambda at the end, which solvers of several steps
  // do not take well.
  const Tensor even = then_zero(geometric_times(1, 1e-3, 60));
  check_is_mixture(
      "DPM-Solver++ SDE, VP",
      sampled(vp, DenoisingType::x0,
              DPMSolverPlusPlus({.scheduler = &vp, .eta = 1, .noise = &noise}), even, noise));
  check_is_mixture("DPM-Solver++ SDE, EDM",
                   sampled(edm, DenoisingType::x0,
                           DPMSolverPlusPlus({.scheduler = &edm, .eta = 1, .noise = &noise}),
                           edm.timesteps(60), noise));
  check_is_mixture("DDIM", sampled(edm, DenoisingType::x0,
                                   DDIMSolver{.scheduler = &edm, .eta = 1, .noise = &noise},
                                   edm.timesteps(400), noise));
}

TEST_CASE("the two-sample test finds a stochastic solver of too few steps") {
  const EDMNoiseScheduler edm;
  Generator rng(6);
  NoiseSource noise(rng);
  ChurnOptions churn{.noise = &noise, .S_churn = 10, .num_steps = 8};
  const NullLimits limits = null_limits(kCount, rng);
  const Tensor exact = two_hills().draw(kCount, rng);
  CHECK(distance(two_hills().draw(kCount, rng), exact) < limits.wasserstein);
  const Tensor coarse =
      sampled(edm, DenoisingType::ode, EDMStochasticHeunSolver{churn}, edm.timesteps(8), noise);
  CHECK(distance(coarse, exact) > limits.wasserstein);
}

TEST_CASE("with eta = 0 and one step, exponential solvers are DDIM") {
  const EDMNoiseScheduler s;
  const auto once = [&](const Solver& solver) {
    return carried(s, DenoisingType::x0, solver, 5, 1, 1).to_vector<double>();
  };
  const std::vector<double> ddim = once(DDIMSolver{.scheduler = &s});
  const auto dpm = once(DPMSolverPlusPlus({.scheduler = &s}));
  const auto unipc = once(UniPCSolver({.scheduler = &s}));
  for (size_t i = 0; i < ddim.size(); ++i) {
    CHECK(dpm[i] == doctest::Approx(ddim[i]).epsilon(1e-12).scale(0));
    CHECK(unipc[i] == doctest::Approx(ddim[i]).epsilon(1e-12).scale(0));
  }
}

TEST_CASE("a DDIM step of eta has the paper's mean and variance") {
  const VPNoiseScheduler s;
  const double t = 0.6, next = 0.35, eta = 0.5;
  const auto alpha_bar = [&](double time) {
    return std::pow(s.alpha(full({1}, time, kF64)).item(), 2);
  };
  const double a = alpha_bar(t), b = alpha_bar(next), x = 1.3, x0 = -0.4, n = 0.7;
  // Eq. 12 and 16, in alpha_bar, the paper's alpha.
  const double sigma = eta * std::sqrt((1 - b) / (1 - a)) * std::sqrt(1 - a / b);
  const double epsilon = (x - std::sqrt(a) * x0) / std::sqrt(1 - a);
  const double expected =
      std::sqrt(b) * x0 + std::sqrt(1 - b - sigma * sigma) * epsilon + sigma * n;
  Generator rng = replay({{Distribution::normal, full({1, 1}, n, kF64)}});
  NoiseSource noise(rng);
  const Denoiser d([&](const Tensor& y, const Tensor&) { return full(y.shape(), x0, kF64); });
  const Tensor moved = DDIMSolver{.scheduler = &s, .eta = eta, .noise = &noise}(
      d, full({1, 1}, x, kF64), full({1}, t, kF64), full({1}, next, kF64));
  CHECK(moved.item() == doctest::Approx(expected).epsilon(1e-12).scale(0));
}

TEST_CASE("exponential solvers start where alpha is 0") {
  // Rectified flow from t = 1, and VP from where alpha is below the smallest number of f64.
  struct Flow final : EDMNoiseScheduler {
    Tensor alpha(const Tensor& t) const override { return 1.0 - t; }
    Tensor alpha_dot(const Tensor& t) const override { return -ones_like(t); }
  };
  const Flow flow;
  const VPNoiseScheduler vp({.t_max = 20});
  const auto even = [](double first, double last, int64_t n) {
    return arange(first, n + 1, (last - first) / static_cast<double>(n), kF64);
  };
  // Data of N(0, s^2): the ODE keeps x / sqrt(alpha^2 s^2 + sigma^2).
  constexpr double kScale = 0.5;
  const auto error = [&](const LinearGaussianNoiseScheduler& s, const Solver& solver,
                         const Tensor& times) {
    const auto width2 = [&s](const Tensor& t) {
      return square(s.alpha(t) * kScale) + square(s.sigma(t));
    };
    const Predictor best = [&](const Tensor& x, const Tensor& t) {
      const Tensor tb = per_sample(t, x);
      return x * s.alpha(tb) * (kScale * kScale) / width2(tb);
    };
    const Tensor y = sample(denoiser(s, {.x0 = best, .type = DenoisingType::x0}),
                            ones({1, 1}, kF64), s, {.solver = solver, .time_steps = times});
    const Tensor last = slice(times, 0, times.numel() - 1, times.numel());
    return std::abs(y.item() - std::sqrt(width2(last).item()));
  };
  Generator rng(8);
  NoiseSource noise(rng);
  for (const auto& [s, times] :
       {std::pair<const LinearGaussianNoiseScheduler*, Tensor>(&flow, even(1, 0.05, 40)),
        {&vp, cat({even(20, 1, 10), slice(even(1, 0.05, 40), 0, 1, 41)}, 0)}}) {
    const double ddim = error(*s, DDIMSolver{.scheduler = s}, times);
    CHECK(ddim < 0.03);
    CHECK(error(*s, DPMSolverPlusPlus({.scheduler = s}), times) < ddim / 4);
    CHECK(error(*s, UniPCSolver({.scheduler = s, .order = 2}), times) < ddim / 4);
    CHECK(error(*s, UniPCSolver({.scheduler = s, .order = 3}), times) < ddim / 4);
    for (const Solver& stochastic :
         {Solver(DDIMSolver{.scheduler = s, .eta = 1, .noise = &noise}),
          Solver(DPMSolverPlusPlus({.scheduler = s, .eta = 1, .noise = &noise}))})
      CHECK(error(*s, stochastic, times) < 3);
  }
}

TEST_CASE("a solver of several steps may be shared by runs, and times may differ over the batch") {
  const EDMNoiseScheduler s;
  const Denoiser d = denoiser(s, {.x0 = two_hills().x0(s), .type = DenoisingType::x0});
  const Solver solver = UniPCSolver({.scheduler = &s});
  const Tensor start = full({1, 2}, 40);
  const auto run = [&] { return sample(d, start, s, {.num_steps = 6, .solver = solver}); };
  CHECK(run().to_vector<float>() == run().to_vector<float>());

  // Two samples in one batch, each at times of its own, are the two alone.
  UniPCSolver both({.scheduler = &s}), first({.scheduler = &s}), second({.scheduler = &s});
  const auto at = [](double a, double b) { return from_vector(std::vector<double>{a, b}, {2}); };
  const auto half = [](const Tensor& x, int64_t i) { return slice(x, 0, i, i + 1); };
  Tensor x = full({2, 2}, 3, kF64), a = half(x, 0), b = half(x, 1);
  const double ta[] = {8, 3, 1, 0}, tb[] = {5, 2, 0.5, 0.1};
  for (int i = 0; i < 3; ++i) {
    const Tensor t = at(ta[i], tb[i]), next = at(ta[i + 1], tb[i + 1]);
    x = both(d, x, t, next);
    a = first(d, a, half(t, 0), half(next, 0));
    b = second(d, b, half(t, 1), half(next, 1));
  }
  CHECK(half(x, 0).to_vector<double>() == a.to_vector<double>());
  CHECK(half(x, 1).to_vector<double>() == b.to_vector<double>());
}

TEST_CASE("two runs through one solver are two runs") {
  const EDMNoiseScheduler s;
  const Denoiser d = denoiser(s, {.x0 = two_hills().x0(s), .type = DenoisingType::x0});
  const auto at = [](double t) { return full({1}, t, kF64); };
  const auto check_apart = [&](auto shared, auto alone, const auto& anew) {
    const Tensor x = full({1, 2}, 3, kF64), other = full({1, 2}, -7, kF64);
    const Tensor first = shared(d, x, at(8), at(3));
    (void)shared(d, other, at(8), at(3));
    // From here the last step is the other run's, so this one begins anew.
    CHECK(shared(d, first, at(3), at(1)).template to_vector<double>() ==
          anew(d, first, at(3), at(1)).template to_vector<double>());
    // A change of x in between ends the run too.
    const Tensor moved = alone(d, x, at(8), at(3));
    CHECK(alone(d, moved + 1.0, at(3), at(1)).template to_vector<double>() ==
          anew(d, moved + 1.0, at(3), at(1)).template to_vector<double>());
  };
  const UniPCSolver unipc({.scheduler = &s});
  check_apart(unipc, unipc,
              [&](const Denoiser& f, const Tensor& x, const Tensor& t, const Tensor& next) {
                return UniPCSolver(unipc)(f, x, t, next);
              });
  const DPMSolverPlusPlus dpm({.scheduler = &s});
  check_apart(dpm, dpm,
              [&](const Denoiser& f, const Tensor& x, const Tensor& t, const Tensor& next) {
                return DPMSolverPlusPlus(dpm)(f, x, t, next);
              });
}

TEST_CASE("guidance goes from the unwanted prediction to the wanted one and on") {
  const AnyModel model = [](const Tensor& x, const Tensor&, const Condition& c) {
    return c.empty() ? x * 1.0 : x * 0.0 + c.tensor();
  };
  const Tensor x = full({2, 1}, 3), t = from_vector(std::vector<float>{1, 10}, {2});
  const Condition c(full({2, 1}, 5));
  const auto values = [&](GuidanceOptions options) {
    return classifier_free_guidance(model, c, options)(x, t).to_vector<float>();
  };
  using Floats = std::vector<float>;
  CHECK(values({.scale = 1}) == Floats{5, 5});
  CHECK(values({.scale = 0}) == Floats{3, 3});
  CHECK(values({.scale = 3}) == Floats{9, 9});
  CHECK(values({.scale = 3, .t_min = 5}) == Floats{5, 9});
  CHECK(values({.scale = 3, .t_max = 0.5}) == Floats{5, 5});
  CHECK(values({.scale = 3, .t_max = 1}) == Floats{9, 5});  // both ends act
  CHECK(values({.scale = 3, .t_min = 10}) == Floats{5, 9});
  const AnyModel worse = [](const Tensor& y, const Tensor&, const Condition&) { return y; };
  CHECK(autoguidance(model, worse, c, {.scale = 2})(x, t).to_vector<float>() == Floats{7, 7});
}

TEST_CASE("whether guidance acts on a sample does not depend on the others") {
  const auto constant = [](double value) {
    return [value](const Tensor& x, const Tensor&) { return full(x.shape(), value); };
  };
  // The f32 number nearest to 0.1 is above it, the one nearest to 0.7 below.
  const auto acts = [&](const std::vector<float>& times, DType dtype, GuidanceOptions o) {
    o.scale = 2;
    const auto n = static_cast<int64_t>(times.size());
    return guided(constant(1), constant(0), o)(ones({n, 1}),
                                               convert(from_vector(times, {n}), dtype))
        .to_vector<float>();
  };
  using Floats = std::vector<float>;
  for (DType dtype : {DType::f32, DType::bf16}) {
    CHECK(acts({0.1f}, dtype, {.t_max = 0.1}) == Floats{2});
    CHECK(acts({0.1f, 0.01f}, dtype, {.t_max = 0.1}) == Floats{2, 2});
    CHECK(acts({0.1f, 3}, dtype, {.t_max = 0.1}) == Floats{2, 1});
    CHECK(acts({0.7f}, dtype, {.t_min = 0.7}) == Floats{2});
    CHECK(acts({0.7f, 3}, dtype, {.t_min = 0.7}) == Floats{2, 2});
  }
}

TEST_CASE("what exponential solvers lack, they say") {
  const EDMNoiseScheduler s;
  const auto fails = [&](const Solver& solver) {
    return error_of([&] { (void)carried(s, DenoisingType::x0, solver, 5, 1, 2); });
  };
  CHECK(fails(DDIMSolver{}) == "DDIMSolver: wants a scheduler");
  CHECK(fails(DDIMSolver{.scheduler = &s, .eta = 1}) == "DDIMSolver: eta = 1 wants a noise source");
  CHECK(error_of([] { DPMSolverPlusPlus({}); }) == "DPMSolverPlusPlus: wants a scheduler");
  CHECK(error_of([&] { UniPCSolver({.scheduler = &s, .order = 4}); }) ==
        "UniPCSolver: order must be 1, 2 or 3, got 4");
  CHECK(error_of([&] { (void)guided({}, {}, {.t_min = 2, .t_max = 1}); }) ==
        "guided: wants t_min <= t_max, got 2 and 1");
}
