#include <brume/diffusion/sample.h>

#include <cmath>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/solvers/edm_stochastic.h>

#include "tests/error_of.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

// The ideal denoiser of N(0, s^2), and where it carries x from time t0 to t1:
// x(t1) = x(t0) sqrt((s^2 + t1^2) / (s^2 + t0^2)).
constexpr double kS = 0.5;
Tensor ideal(const Tensor& x, const Tensor& t) {
  return x * (kS * kS / (square(per_sample(t, x)) + kS * kS));
}

double error_after(int64_t steps, const Solver& solver) {
  const EDMNoiseScheduler scheduler;
  const TensorOptions f64{.dtype = DType::f64};
  const double t0 = 2, t1 = 0.5;
  std::vector<double> times;
  for (int64_t i = 0; i <= steps; ++i)
    times.push_back(t0 + (t1 - t0) * static_cast<double>(i) / static_cast<double>(steps));
  const Tensor x = full({1, 1}, 3, f64);
  const Tensor y = sample(denoiser(scheduler, {.x0 = ideal}), x, scheduler,
                          {.solver = solver, .time_steps = from_vector(times, {steps + 1})});
  return std::abs(y.item() - 3 * std::sqrt((kS * kS + t1 * t1) / (kS * kS + t0 * t0)));
}

double order_of(const Solver& solver) {
  return std::log2(error_after(40, solver) / error_after(80, solver));
}

std::vector<uint64_t> seeds(uint64_t from, uint64_t count) {
  std::vector<uint64_t> out;
  for (uint64_t i = 0; i < count; ++i) out.push_back(from + i);
  return out;
}

}  // namespace

TEST_CASE("Euler converges with order 1 and Heun with order 2 on Gaussian data") {
  CHECK(order_of(EulerSolver{}) == doctest::Approx(1).epsilon(0.1).scale(0));
  CHECK(order_of(HeunSolver{}) == doctest::Approx(2).epsilon(0.1).scale(0));
  CHECK(order_of(HeunSolver{.alpha = 0.7}) == doctest::Approx(2).epsilon(0.1).scale(0));
}

TEST_CASE("without churn the stochastic solvers are the deterministic ones") {
  Generator rng(1);
  NoiseSource noise(rng);
  ChurnOptions churn{.noise = &noise};
  CHECK(error_after(10, EDMStochasticEulerSolver{churn}) == error_after(10, EulerSolver{}));
  CHECK(error_after(10, EDMStochasticHeunSolver{churn}) == error_after(10, HeunSolver{}));
}

TEST_CASE("without churn no noise is made, but the generator goes on as if it were") {
  const auto offset_after = [](double S_churn) {
    Generator rng(1);
    NoiseSource noise(rng);
    ChurnOptions churn{.noise = &noise, .S_churn = S_churn};
    (void)error_after(10, EDMStochasticHeunSolver{churn});
    return rng.offset();
  };
  CHECK(offset_after(0) == offset_after(1));
  Generator drawn = Generator::torch_cpu(1), skipped = Generator::torch_cpu(1);
  (void)normal({20}, drawn);
  skip_normal({20}, skipped);
  CHECK(normal({3}, drawn).to_vector<float>() == normal({3}, skipped).to_vector<float>());
}

TEST_CASE("a stochastic solver gives samples of the data's variance") {
  const EDMNoiseScheduler scheduler;
  constexpr int64_t kCount = 20000;
  Generator rng(3);
  NoiseSource noise(rng);
  const Tensor start = scheduler.init_latents({kCount, 1}, full({kCount}, 80), noise);
  ChurnOptions churn{.noise = &noise, .S_churn = 40, .num_steps = 160};
  const Tensor x = sample(denoiser(scheduler, {.x0 = ideal}), start, scheduler,
                          {.num_steps = 160, .solver = EDMStochasticHeunSolver{churn}});
  // Standard error of a variance estimate: s^2 sqrt(2 / n) = 0.0025.
  CHECK(mean(square(x)).item() == doctest::Approx(kS * kS).epsilon(0.04).scale(0));
  CHECK(std::abs(mean(x).item()) < 0.015);
}

TEST_CASE("a sample does not depend on the batch it is drawn in, stochastic solvers included") {
  const EDMNoiseScheduler scheduler;
  const auto draw = [&](const std::vector<uint64_t>& list) {
    NoiseSource noise(list);
    const auto count = static_cast<int64_t>(list.size());
    ChurnOptions churn{.noise = &noise, .S_churn = 10};
    return sample(denoiser(scheduler, {.x0 = ideal}),
                  scheduler.init_latents({count, 2, 4, 4}, full({count}, 80), noise), scheduler,
                  {.num_steps = 5, .solver = EDMStochasticHeunSolver{churn}});
  };
  const Tensor all = draw(seeds(10, 16));
  for (uint64_t i : {0, 7, 15})
    CHECK(slice(all, 0, static_cast<int64_t>(i), static_cast<int64_t>(i) + 1).to_vector<float>() ==
          draw(seeds(10 + i, 1)).to_vector<float>());
}

TEST_CASE("a callback sees every step and can end the run") {
  const EDMNoiseScheduler scheduler;
  int calls = 0;
  const auto watch = [&](const SampleStep& s) {
    CHECK(s.steps == 18);
    CHECK(s.step == ++calls);
    return s.step < 5;
  };
  (void)sample(denoiser(scheduler, {.x0 = ideal}), full({1, 1}, 80), scheduler,
               {.solver = HeunSolver{}, .on_step = watch});
  CHECK(calls == 5);
}

TEST_CASE("18 Heun steps ask the network 35 times") {
  const EDMNoiseScheduler scheduler;
  int calls = 0;
  const Predictor counting = [&](const Tensor& x, const Tensor& t) {
    ++calls;
    return ideal(x, t);
  };
  (void)sample(denoiser(scheduler, {.x0 = counting}), full({2, 1}, 80), scheduler);
  CHECK(calls == 35);
}

TEST_CASE("states at chosen steps come in order, and the last is the sample") {
  const EDMNoiseScheduler scheduler;
  const auto right = denoiser(scheduler, {.x0 = ideal});
  const Tensor start = full({1, 1}, 80);
  const auto states = sample_at({17, 0}, right, start, scheduler);
  REQUIRE(states.size() == 2);
  CHECK(states[1].item() == sample(right, start, scheduler).item());
  CHECK_THROWS_AS(sample_at({18}, right, start, scheduler), ShapeError);
  // They stay what they were if the solver works in place.
  const Solver counts = [](const Denoiser&, const Tensor& x, const Tensor&, const Tensor&) {
    copy_(x, x + 1.0);
    return x;
  };
  const auto counted =
      sample_at({0, 1, 2}, right, zeros({1, 1}), scheduler, {.num_steps = 3, .solver = counts});
  for (size_t i = 0; i < 3; ++i) CHECK(counted[i].item() == double(i) + 1);
}

TEST_CASE("wrong ranges say what is wanted") {
  CHECK_THROWS_WITH_AS(EDMNoiseScheduler({.sigma_min = 3, .sigma_max = 2}),
                       "EDMNoiseScheduler: wants 0 < sigma_min < sigma_max, got 3 and 2",
                       ShapeError);
  CHECK_THROWS_AS(EDMNoiseScheduler().timesteps(1), ShapeError);
  const EDMNoiseScheduler scheduler;
  CHECK_THROWS_AS(denoiser(scheduler, {}), ShapeError);
  CHECK_THROWS_AS(denoiser(scheduler, {.x0 = ideal, .score = ideal}), ShapeError);
  CHECK_THROWS_AS(error_after(4, HeunSolver{.alpha = 0}), ShapeError);
  CHECK_THROWS_AS(error_after(4, EDMStochasticHeunSolver{}), ShapeError);
}

TEST_CASE("a run that goes wrong says where") {
  const EDMNoiseScheduler scheduler;
  const Tensor start = full({1, 1}, 80);
  const Predictor breaks = [](const Tensor& x, const Tensor& t) {
    return t.to_vector<float>()[0] < 1 ? x * std::nan("") : ideal(x, t);
  };
  const auto error = error_of([&] {
    (void)sample(denoiser(scheduler, {.x0 = breaks}), start, scheduler,
                 {.solver = EulerSolver{},
                  .time_steps = from_vector(std::vector<float>{4, 0.5, 0.25}, {3})});
  });
  CHECK(
      error ==
      "sample: x is not finite after step 2 of 2, from time 0.5 (sigma 0.5) to 0.25 (sigma 0.25)");
  CHECK(error_of([&] {
          (void)sample(denoiser(scheduler, {.x0 = ideal}), start, scheduler,
                       {.solver = EulerSolver{},
                        .time_steps = from_vector(std::vector<float>{4, 1, 2}, {3})});
        }) == "sample: time_steps must decrease, but go from 1 to 2 in step 2");
  const Solver widens = [](const Denoiser&, const Tensor& x, const Tensor&, const Tensor&) {
    return expand(x, {2, 1});
  };
  CHECK(error_of([&] {
          (void)sample(denoiser(scheduler, {.x0 = ideal}), start, scheduler, {.solver = widens});
        }) == "sample: step 1 returned [2, 1] for x of [1, 1]");
}
