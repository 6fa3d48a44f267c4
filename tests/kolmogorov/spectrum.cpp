#include "examples/kolmogorov/spectrum.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/random.h>

#include "examples/kolmogorov/flow.h"

using namespace brume;
using namespace brume::kolmogorov;

TEST_CASE("a single wave has its energy at its wavenumber") {
  // w = 6 cos(3x - 4y): the stream function is w / 25, the speed's mean square 18 / 25.
  const Tensor at = arange(0, 16, 2 * std::numbers::pi / 16, {.dtype = DType::f64});
  const Tensor wave = cos(at * 3 - unsqueeze(at * 4, 1)) * 6;
  const auto energy = energy_spectrum(unsqueeze(unsqueeze(wave, 0), 0));
  for (size_t k = 0; k < energy.size(); ++k)
    CHECK(energy[k] == doctest::Approx(k == 5 ? 18.0 / 25 / 2 : 0).epsilon(1e-12));
}

TEST_CASE("all shells together are the mean energy of the fields") {
  const KolmogorovFlow flow({.points = 32, .force_wavenumber = 1});
  Generator rng(1);
  const Tensor& k2 = flow.torus().wavenumber_squared();
  const Tensor state = normal({3, k2.size(0), k2.size(1)}, rng, {.dtype = DType::f64});
  const auto energy = energy_spectrum(flow.torus().field(state));
  const auto each = (flow.energy(state)).to_vector<double>();
  CHECK(std::reduce(energy.begin(), energy.end()) ==
        doctest::Approx((each[0] + each[1] + each[2]) / 3).epsilon(1e-12));
}

TEST_CASE("fields that are not square are refused") {
  CHECK_THROWS_AS(energy_spectrum(zeros({2, 1, 8, 9})), ShapeError);
  CHECK_THROWS_AS(energy_spectrum(zeros({8, 8})), ShapeError);
}
