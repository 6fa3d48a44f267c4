#include <brume/diffusion/metrics.h>

#include <cmath>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

#include "tests/error_of.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

Tensor numbers(const std::vector<double>& values, const Shape& shape) {
  return from_vector(values, shape);
}

}  // namespace

TEST_CASE("CRPS of one member is its error, and of a normal ensemble its closed form") {
  CHECK(crps(numbers({3, 5}, {1, 2}), numbers({1, 6}, {2})) == doctest::Approx(1.5));
  // |x1 - y| and |x2 - y| are 1 and 2; half the mean of |xi - xj| is 3/4, without itself 3/2.
  CHECK(crps(numbers({0, 3}, {2, 1}), numbers({1}, {1})) == doctest::Approx(0.75));
  CHECK(crps(numbers({0, 3}, {2, 1}), numbers({1}, {1}), true) == doctest::Approx(0));
  // N(0, 1) at its mean: 2 phi(0) - 1 / sqrt(pi) = 0.2337.
  Generator rng(1);
  const Tensor members = normal({2000, 1}, rng);
  CHECK(crps(members, zeros({1}), true) == doctest::Approx(0.2337).epsilon(0.05).scale(0));
}

TEST_CASE("ranks of a truth that could be a member are even, and equal members share by chance") {
  Generator rng(2);
  const Tensor all = normal({5, 5000}, rng);
  const auto counts = rank_histogram(slice(all, 0, 0, 4), select(all, 0, 4), rng);
  REQUIRE(counts.size() == 5);
  for (int64_t count : counts) CHECK(std::abs(count - 1000) < 4 * 28);
  for (int64_t count : rank_histogram(zeros({1, 4000}), zeros({4000}), rng))
    CHECK(std::abs(count - 2000) < 4 * 32);
  CHECK(rank_histogram(zeros({2, 3}), ones({3}), rng) == std::vector<int64_t>{0, 0, 3});
}

TEST_CASE("white noise has power 1 at all wave numbers, a wave all of its power at one") {
  Generator rng(3);
  for (double power : power_spectrum(normal({200, 8, 12}, rng)))
    CHECK(power == doctest::Approx(1).epsilon(0.15).scale(0));
  std::vector<double> wave;
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x) wave.push_back(std::cos(2 * std::acos(-1.0) * 2 * x / 8));
  const std::vector<double> power = power_spectrum(numbers(wave, {8, 8}));
  CHECK(power.size() == 5);
  CHECK(power[2] > 1);
  CHECK(power[1] == doctest::Approx(0));
  CHECK(power[3] == doctest::Approx(0));
}

TEST_CASE("the Frechet distance of two normal distributions is the reference's") {
  const Tensor m = numbers({1, 2}, {2}), C = numbers({1, .5, .5, 2}, {2, 2});
  const Tensor mr = numbers({0, 1}, {2}), Cr = numbers({2, .3, .3, 1.5}, {2, 2});
  CHECK(frechet_distance(m, C, mr, Cr) ==
        doctest::Approx(2.234758220608337).epsilon(1e-10).scale(0));
  CHECK(frechet_distance(m, C, m, C) == doctest::Approx(0));
  // Variances alone: (1 - 0)^2 + (2 - 1)^2 + (1 - 2)^2 + (2 - 1)^2.
  CHECK(frechet_distance(m, numbers({1, 4}, {2}), mr, numbers({4, 1}, {2})) == doctest::Approx(4));
  Generator rng(4);
  const Tensor a = normal({4000, 3}, rng), b = normal({4000, 3}, rng) + 1.0;
  CHECK(frechet_distance(a, b) == doctest::Approx(3).epsilon(0.05).scale(0));
}

TEST_CASE(
    "the sliced Wasserstein distance of shifted samples is the mean shift along a direction") {
  Generator rng(5);
  const Tensor a = normal({300, 2, 2}, rng);
  CHECK(sliced_wasserstein(a, a, rng) == 0);
  // A shift by 1 in all of 4 coordinates has length 2; a direction sees 2 cos, squared 4 / 4.
  CHECK(sliced_wasserstein(a, a + 1.0, rng, 2000) == doctest::Approx(1).epsilon(0.05).scale(0));
}

TEST_CASE("metrics say what does not fit") {
  Generator rng(6);
  CHECK(error_of([] {
          (void)crps(ones({2, 3}), ones({4}));
        }) == "crps: an ensemble of [2, 3] does not fit a truth of [4]");
  CHECK(error_of([] {
          (void)crps(ones({1, 3}), ones({3}), true);
        }) == "crps: fair wants at least 2 members");
  CHECK(error_of([] { (void)power_spectrum(ones({3})); }) ==
        "power_spectrum: wants images [..., H, W], got [3]");
  CHECK(error_of([&] {
          (void)sliced_wasserstein(ones({2, 3}), ones({3, 3}), rng);
        }) == "sliced_wasserstein: wants two samples of one shape, got [2, 3] and [3, 3]");
  CHECK(error_of([] {
          const Tensor m = ones({2}), skew = numbers({1, 2, 0, 1}, {2, 2});
          (void)frechet_distance(m, skew, m, skew);
        }) == "frechet_distance: a covariance is not symmetric at 1, 0");
}
