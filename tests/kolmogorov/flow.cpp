#include "examples/kolmogorov/flow.h"

#include <cmath>
#include <numbers>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/random.h>

#include "examples/kolmogorov/ensemble.h"

using namespace brume;
using namespace brume::kolmogorov;

namespace {

double largest(const Tensor& x) { return max(abs(x)).item(); }

// Random eddies up to wavenumber 4, of a vorticity of a few units.
Tensor eddies(const Torus& torus, uint64_t seed) {
  Generator rng(seed);
  const Tensor& k2 = torus.wavenumber_squared();
  const Tensor kept = convert(logical_and(gt(k2, 0), le(k2, 16)), DType::f64);
  return normal(k2.shape(), rng, {.dtype = DType::f64}) * kept;
}

Tensor run(const KolmogorovFlow& flow, Tensor state, int steps) {
  for (int i = 0; i < steps; ++i) state = flow.step(state);
  return state;
}

constexpr FlowOptions kIdeal{.points = 24, .viscosity = 0, .drag = 0, .force = 0};

FlowOptions with_step(FlowOptions o, double time_step) {
  o.time_step = time_step;
  return o;
}

}  // namespace

TEST_CASE("a field and its coefficients are two forms of the same, and its slopes are exact") {
  const Torus torus(12, 5);
  Generator rng(1);
  const Tensor a = normal({3, 11, 11}, rng, {.dtype = DType::f64});
  CHECK(largest(torus.coefficients(torus.field(a)) - a) < 1e-14);
  CHECK(std::abs(mean(square(torus.field(a))).item() * 3 - sum(square(a)).item()) < 1e-12);

  // sin(2x + 3y) and its slopes, by their formulas.
  const Tensor at = arange(0, 12, 2 * std::numbers::pi / 12, {.dtype = DType::f64});
  const Tensor angle = unsqueeze(at * 3, 1) + at * 2;
  const Tensor wave = torus.coefficients(sin(angle));
  CHECK(largest(torus.field(wave) - sin(angle)) < 1e-14);
  CHECK(largest(torus.slope_x(wave) - cos(angle) * 2) < 1e-13);
  CHECK(largest(torus.slope_y(wave) - cos(angle) * 3) < 1e-13);
  CHECK_THROWS_AS(Torus(12, 6), ShapeError);  // cos 6x and cos 0x are one on some points
}

TEST_CASE("a Taylor-Green vortex decays as the exact solution says") {
  // w = cos x cos y: its advection is zero, so it only decays, by 2 viscosity + drag.
  const FlowOptions o{.points = 16,
                      .viscosity = 0.1,
                      .drag = 0.05,
                      .force = 0,
                      .force_wavenumber = 1,
                      .time_step = 0.25};
  const KolmogorovFlow flow(o);
  const Tensor at = arange(0, 16, 2 * std::numbers::pi / 16, {.dtype = DType::f64});
  const Tensor vortex = unsqueeze(cos(at), 1) * cos(at);
  const Tensor after = run(flow, flow.torus().coefficients(vortex), 40);
  CHECK(largest(flow.torus().field(after) - vortex * std::exp(-(2 * 0.1 + 0.05) * 10)) < 1e-14);
}

TEST_CASE("the laminar flow stands still where force and decay balance") {
  const FlowOptions o{
      .points = 16, .viscosity = 0.5, .drag = 0.1, .force_wavenumber = 2, .time_step = 0.02};
  const KolmogorovFlow flow(o);
  const Tensor after = run(flow, zeros_like(flow.torus().wavenumber_squared()), 800);
  const Tensor at = arange(0, 16, 2 * std::numbers::pi / 16, {.dtype = DType::f64});
  const double amplitude = -2 / (0.5 * 4 + 0.1);
  CHECK(largest(flow.torus().field(after) - unsqueeze(cos(at * 2), 1) * amplitude) < 1e-7);
}

TEST_CASE(
    "without viscosity, drag and force, energy and enstrophy are kept to the stepper's order") {
  const auto drift = [](double time_step) {
    const KolmogorovFlow flow(with_step(kIdeal, time_step));
    const Tensor begin = eddies(flow.torus(), 2);
    const Tensor end = run(flow, begin, static_cast<int>(std::lround(1 / time_step)));
    return std::pair{std::abs(flow.energy(end).item() / flow.energy(begin).item() - 1),
                     std::abs(flow.enstrophy(end).item() / flow.enstrophy(begin).item() - 1)};
  };
  const auto [energy, enstrophy] = drift(0.02);
  const auto [finer_energy, finer_enstrophy] = drift(0.01);
  CHECK(finer_energy < 1e-6);
  CHECK(finer_enstrophy < 2e-5);
  CHECK(energy > 12 * finer_energy);
  CHECK(enstrophy > 12 * finer_enstrophy);
}

TEST_CASE("halving the time step divides the error by sixteen") {
  const FlowOptions o{.points = 24, .viscosity = 0.02, .drag = 0.1};
  const auto at_time_one = [&](int steps) {
    const KolmogorovFlow flow(with_step(o, 1.0 / steps));
    return run(flow, eddies(flow.torus(), 3), steps);
  };
  const Tensor exact = at_time_one(400);
  const double coarse = largest(at_time_one(25) - exact), fine = largest(at_time_one(50) - exact);
  CHECK(std::log2(coarse / fine) > 3.8);
  CHECK(std::log2(coarse / fine) < 4.5);
}

TEST_CASE("the velocity is free of divergence, its curl is the vorticity, and no mean appears") {
  const KolmogorovFlow flow({.points = 24});
  const Torus& torus = flow.torus();
  const Tensor state = run(flow, eddies(torus, 4), 20);
  const Velocity v = flow.velocity(state);
  const Tensor u = torus.coefficients(v.x), w = torus.coefficients(v.y);
  CHECK(largest(torus.slope_x(u) + torus.slope_y(w)) < 1e-12);
  CHECK(largest(torus.slope_x(w) - torus.slope_y(u) - torus.field(state)) < 1e-12);
  CHECK(std::abs(mean(torus.field(state)).item()) < 1e-14);
  CHECK(std::abs(mean(square(v.x) + square(v.y)).item() / 2 - flow.energy(state).item()) < 1e-13);
  CHECK(std::abs(mean(square(torus.field(state))).item() / 2 - flow.enstrophy(state).item()) <
        1e-12);
}

TEST_CASE("a flow does not depend on those beside it") {
  const KolmogorovFlow flow({.points = 24});
  const Tensor a = eddies(flow.torus(), 5), b = eddies(flow.torus(), 6);
  const Tensor both = run(flow, stack({a, b}, 0), 10);
  CHECK(largest(select(both, 0, 1) - run(flow, b, 10)) < 1e-13);
}

TEST_CASE("samples are of the wanted shape, follow the seed, and differ in time and among flows") {
  EnsembleOptions o{.flow = {.points = 24},
                    .flows = 2,
                    .samples = 6,
                    .size = 8,
                    .spin_up_time = 0.1,
                    .sample_every = 0.5,
                    .seed = 3};
  const Tensor x = vorticity_samples(o), again = vorticity_samples(o);
  CHECK(x.shape() == Shape{6, 1, 8, 8});
  CHECK(x.to_vector<float>() == again.to_vector<float>());
  CHECK(largest(mean(x, {1, 2, 3})) < 1e-5);
  for (int64_t i = 1; i < 6; ++i) CHECK(largest(select(x, 0, i) - select(x, 0, 0)) > 0.1);
  o.samples = 5;
  CHECK_THROWS_AS(vorticity_samples(o), ShapeError);
}
