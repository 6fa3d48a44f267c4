#include "examples/darcy/solver.h"

#include <cmath>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "examples/darcy/permeability.h"

using namespace brume;
using namespace brume::darcy;

namespace {

Tensor ground(int64_t samples, int64_t points) {
  Generator rng(1);
  return exp(log_permeability(samples, points, rng));
}

}  // namespace

TEST_CASE("even ground has the pressure of a twisted square bar, to second order") {
  // The torsion constant of a square of side 1 is 0.1405770; it is 4 times the mean of p.
  const auto error = [](int64_t points) {
    return mean(solve(ones({1, points, points}))).item() - 0.1405770 / 4;
  };
  const double coarse = error(16), fine = error(32);
  CHECK(coarse / fine == doctest::Approx(4).epsilon(0.05));
  CHECK(std::abs(4 * fine - coarse) / 3 < 2e-6);  // the second order taken away
}

TEST_CASE("everything that wells up leaves at the edge") {
  const int64_t N = 12;
  const Tensor k = ground(3, N), out = k * solve(k) * 2.0;  // through an edge face of each cell
  const Tensor left =
      sum(select(out, 1, 0) + select(out, 1, N - 1) + select(out, 2, 0) + select(out, 2, N - 1), 1);
  for (double total : left.to_vector<double>()) CHECK(total == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE(
    "ground that is turned, or ten times as open, has a pressure that is turned, or a tenth") {
  const Tensor k = ground(2, 9), p = solve(k);
  CHECK(max(abs(solve(transpose(k, 1, 2)) - transpose(p, 1, 2))).item() < 1e-14);
  CHECK(max(abs(solve(flip(k, {1})) - flip(p, {1}))).item() < 1e-14);
  CHECK(max(abs(solve(k * 10.0) * 10.0 - p)).item() < 1e-14);
}

TEST_CASE("ground that is closed or not square is refused") {
  CHECK_THROWS_AS(solve(zeros({1, 4, 4})), Error);
  CHECK_THROWS_AS(solve(ones({1, 4, 5})), ShapeError);
}

TEST_CASE("the logarithm of the permeability has mean 0 and standard deviation 1") {
  Generator rng(2);
  const Tensor field = log_permeability(400, 16, rng);
  CHECK(max(abs(mean(field, {1, 2}))).item() < 1e-12);  // no constant in any sample
  CHECK(mean(square(field)).item() == doctest::Approx(1).epsilon(0.1));
}
