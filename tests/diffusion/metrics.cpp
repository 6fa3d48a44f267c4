#include <brume/diffusion/metrics.h>

#include <array>
#include <cmath>
#include <complex>

#include <doctest/doctest.h>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/symmetric_eigen.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

Tensor numbers(const std::vector<double>& values, const Shape& shape) {
  return from_vector(values, shape);
}
Tensor eye(int64_t n) {
  const Tensor i = arange(0, n);
  return convert(eq(unsqueeze(i, 1), i), DType::f64);
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

TEST_CASE("a power spectrum is what the sums of its definition give, for odd sizes too") {
  const std::vector<std::array<int, 2>> sizes{{5, 7}, {6, 4}, {1, 3}};
  for (const auto& [H, W] : sizes) {
    Generator rng(8);
    const Tensor x = normal({2, H, W}, rng);
    const auto values = x.to_vector<double>();
    std::vector<double> power(static_cast<size_t>(std::min(H, W) / 2 + 1)), count(power.size());
    for (int image = 0; image < 2; ++image)
      for (int ky = 0; ky < H; ++ky)
        for (int kx = 0; kx < W; ++kx) {
          std::complex<double> sum = 0;
          for (int i = 0; i < H * W; ++i)
            sum += values[static_cast<size_t>(image * H * W + i)] *
                   std::polar(1.0, -2 * std::acos(-1.0) *
                                       (static_cast<double>(ky * (i / W)) / H +
                                        static_cast<double>(kx * (i % W)) / W));
          const auto k = static_cast<size_t>(
              std::lround(std::hypot(std::min(ky, H - ky), std::min(kx, W - kx))));
          if (k >= power.size()) continue;
          power[k] += std::norm(sum) / (H * W);
          count[k] += 1;
        }
    const auto got = power_spectrum(x);
    REQUIRE(got.size() == power.size());
    for (size_t k = 0; k < power.size(); ++k)
      CHECK(got[k] == doctest::Approx(power[k] / count[k]).epsilon(1e-11).scale(0));
  }
}

TEST_CASE("a symmetric matrix is its eigenvalues along its eigenvectors") {
  for (const int64_t n : {1, 2, 3, 40}) {
    const Tensor half = to(noise({n, n}), DType::f64);
    // A full matrix, one of rank 1, one of equal values, one that is diagonal already.
    const Tensor thin = slice(half, 1, 0, 1), unit = eye(n);
    for (const Tensor& a : {half + transpose(half, 0, 1), matmul(thin, transpose(thin, 0, 1)),
                            unit * 3.0, unit * half}) {
      const SymmetricEigen e = symmetric_eigen(a.to_vector<double>(), n, true);
      const Tensor u = numbers(e.vectors, {n, n});
      CHECK(distance(matmul(u, transpose(u, 0, 1)), unit) < 1e-13 * double(n));
      const Tensor again = matmul(transpose(u, 0, 1), numbers(e.values, {n, 1}) * u);
      CHECK(distance(again, a) < 1e-13 * double(n));
      CHECK(symmetric_eigen(a.to_vector<double>(), n, false).values == e.values);
    }
  }
  CHECK(error_of([] {
          (void)symmetric_eigen({1, NAN, NAN, 1}, 2, false);
        }) == "symmetric_eigen: no convergence; is a value not finite?");
}

TEST_CASE("the Frechet distance of turned normal distributions is that of their variances") {
  constexpr int64_t n = 30;
  const SymmetricEigen axes = symmetric_eigen(
      to(noise({n, n}) + transpose(noise({n, n}), 0, 1), DType::f64).to_vector<double>(), n, true);
  const Tensor u = numbers(axes.vectors, {n, n}), none = zeros({n}, {.dtype = DType::f64});
  // The last ten directions have no variance in one, the first ten none in the other.
  std::vector<double> v1(n), v2(n);
  double expected = 0;
  for (size_t i = 0; i < size_t(n); ++i) {
    v1[i] = i < 20 ? 1 + double(i) : 0;
    v2[i] = i < 10 ? 0 : 0.5 * double(i);
    expected += v1[i] + v2[i] - 2 * std::sqrt(v1[i] * v2[i]);
  }
  const auto turned = [&](const std::vector<double>& v) {
    return matmul(transpose(u, 0, 1), numbers(v, {n, 1}) * u);
  };
  CHECK(frechet_distance(none, turned(v1), none, turned(v2)) ==
        doctest::Approx(expected).epsilon(1e-7).scale(0));
}

TEST_CASE("the Frechet distance of two normal distributions is the reference's") {
  const Tensor m = numbers({1, 2}, {2}), C = numbers({1, .5, .5, 2}, {2, 2});
  const Tensor mr = numbers({0, 1}, {2}), Cr = numbers({2, .3, .3, 1.5}, {2, 2});
  CHECK(frechet_distance(m, C, mr, Cr) ==
        doctest::Approx(2.234758220608337).epsilon(1e-10).scale(0));
  CHECK(frechet_distance(m, C, m, C) == doctest::Approx(0));
  // A distance is not negative, whatever is rounded: here of few samples with themselves.
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    const Tensor few = noise({4, 20}, seed) * 100.0;
    CHECK(frechet_distance(few, few) >= 0);
  }
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
  const Tensor gap = numbers({1, 2, 3, std::nan(""), 5, 6}, {3, 2}), whole = ones({3, 2});
  CHECK(error_of([&] { (void)crps(gap, ones({2})); }) == "crps: the ensemble is nan at [1, 1]");
  CHECK(error_of([&] { (void)rank_histogram(whole, select(gap, 0, 1), rng); }) ==
        "rank_histogram: the truth is nan at [1]");
  CHECK(error_of([&] { (void)sliced_wasserstein(whole, gap, rng); }) ==
        "sliced_wasserstein: the second sample is nan at [1, 1]");
  CHECK(error_of([&] { (void)power_spectrum(gap); }) == "power_spectrum: x is nan at [1, 1]");
  CHECK(error_of([&] { (void)frechet_distance(gap, whole); }) ==
        "frechet_distance: a sample is nan at [1, 1]");
  CHECK(error_of([] { (void)crps(ones({3, 0}), ones({0})); }) == "crps: the truth of [0] is empty");
  CHECK(error_of([] { (void)power_spectrum(ones({3})); }) ==
        "power_spectrum: wants images [..., H, W], got [3]");
  CHECK(error_of([&] {
          (void)sliced_wasserstein(ones({2, 3}), ones({3, 3}), rng);
        }) == "sliced_wasserstein: wants two samples of one shape, got [2, 3] and [3, 3]");
  CHECK(error_of([] {
          const Tensor m = ones({2}), skew = numbers({1, 2, 0, 1}, {2, 2});
          (void)frechet_distance(m, skew, m, skew);
        }) == "frechet_distance: a covariance is not symmetric at 1, 0");
  const Tensor m = ones({2}), good = numbers({1, 2}, {2}), bad = numbers({1, -4}, {2});
  const Tensor matrix = numbers({1, 0, 0, -4}, {2, 2});
  for (const auto& [c1, c2] : {std::pair(good, bad), {bad, bad}, {matrix, matrix}})
    CHECK(error_of([&, &c1 = c1, &c2 = c2] { (void)frechet_distance(m, c1, m, c2); }) ==
          "frechet_distance: variance 1 is negative: -4");
}
