#include "examples/advection/transport.h"

#include <cmath>
#include <numbers>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>

#include "examples/advection/scene.h"

using namespace brume;
using namespace brume::advection;

namespace {

constexpr double kPi = std::numbers::pi;
constexpr Flow kEddies{{0.3, 0.1, -0.1}};

Mesh mesh_of(int64_t side) {
  Generator rng(1);
  return irregular_mesh(side, rng);
}

std::vector<double> at_points(const Mesh& mesh, double (*f)(double x, double y)) {
  std::vector<double> out;
  for (const auto& [x, y] : mesh.points) out.push_back(f(x, y));
  return out;
}

double mass(const Transport& transport, const std::vector<double>& c) {
  double sum = 0;
  for (size_t i = 0; i < c.size(); ++i) sum += transport.volumes()[i] * c[i];
  return sum;
}

// A wave that only decays, without flow: the largest error after a time of 0.5.
double decay_error(int64_t side) {
  const Mesh mesh = mesh_of(side);
  const auto wave = [](double x, double y) { return std::cos(kPi * x) * std::cos(kPi * y); };
  const Transport transport(mesh, {}, 0.05);
  std::vector<double> c = at_points(mesh, wave);
  const std::vector<double> first = c;
  for (int i = 0; i < 200; ++i) transport.step(c, 0.5 / 200);
  double worst = 0;
  for (size_t i = 0; i < c.size(); ++i)
    worst = std::max(worst, std::abs(c[i] - first[i] * std::exp(-2 * kPi * kPi * 0.05 * 0.5)));
  return worst;
}

}  // namespace

TEST_CASE("the triangles of an irregular mesh fill the square, none turned over") {
  const Mesh mesh = mesh_of(9);
  double area = 0;
  for (const auto& [a, b, c] : mesh.triangles) {
    const auto at = [&](int64_t i) { return mesh.points[static_cast<size_t>(i)]; };
    const double twice = cross(at(a), at(b), at(c));
    CHECK(twice > 0);
    area += twice / 2;
  }
  CHECK(area == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("dye is neither made nor lost, and even dye stays even") {
  const Mesh mesh = mesh_of(10);
  const Transport transport(mesh, kEddies, 0.01);
  std::vector<double> c = at_points(mesh, [](double x, double y) { return x * x + y; });
  std::vector<double> even(c.size(), 0.7);
  const double before = mass(transport, c);
  for (int i = 0; i < 50; ++i) {
    transport.step(c, 0.01);
    transport.step(even, 0.01);
  }
  CHECK(mass(transport, c) == doctest::Approx(before).epsilon(1e-12));
  for (double value : even) CHECK(value == doctest::Approx(0.7).epsilon(1e-12));
}

TEST_CASE("a wave decays as it should, the better the finer the mesh") {
  CHECK(decay_error(24) < 0.01);
  CHECK(decay_error(24) < 0.6 * decay_error(12));
}

TEST_CASE("dye is carried at the velocity of the flow") {
  // The centre of mass of a small blob moves with the fluid, spread or not.
  const Mesh mesh = mesh_of(60);
  const Transport transport(mesh, kEddies, 0);
  const Point start{0.35, 0.6};
  std::vector<double> c;
  for (const auto& [x, y] : mesh.points)
    c.push_back(std::exp(-(std::pow(x - start[0], 2) + std::pow(y - start[1], 2)) / 0.005));
  const auto centre = [&] {
    Point sum{};
    for (size_t i = 0; i < c.size(); ++i)
      for (size_t axis = 0; axis < 2; ++axis)
        sum[axis] += transport.volumes()[i] * c[i] * mesh.points[i][axis];
    return Point{sum[0] / mass(transport, c), sum[1] / mass(transport, c)};
  };
  const Point before = centre();
  for (int i = 0; i < 10; ++i) transport.step(c, 0.002);
  const Point after = centre(), speed = kEddies.velocity(start);
  for (size_t axis = 0; axis < 2; ++axis)
    CHECK((after[axis] - before[axis]) / 0.02 == doctest::Approx(speed[axis]).epsilon(0.05));
}

TEST_CASE("a picture shows values where their points are, y up") {
  const Mesh mesh = mesh_of(12);
  const auto right_and_up = at_points(mesh, [](double x, double y) { return x + 2 * y; });
  const int64_t pixels = 20;
  const Tensor image = picture(mesh, from_vector(right_and_up, {1, mesh.size()}), pixels);
  REQUIRE(image.shape() == Shape{1, 1, pixels, pixels});
  const auto shown = image.to_vector<double>();
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t j = 0; j < pixels; ++j) {
      const double x = (static_cast<double>(j) + 0.5) / static_cast<double>(pixels);
      const double y = 1 - (static_cast<double>(i) + 0.5) / static_cast<double>(pixels);
      CHECK(std::abs(shown[static_cast<size_t>(i * pixels + j)] - (x + 2 * y)) < 0.2);
    }
}

TEST_CASE("a scene has each edge of its mesh both ways, and the same seed gives the same scene") {
  Generator rng(5), again(5);
  const SceneOptions options{.side = 6, .frames = 3};
  const Scene scene = random_scene(options, rng), twin = random_scene(options, again);
  CHECK(scene.edge_index.size(1) == 2 * (2 * 6 * 5 + 5 * 5));
  CHECK(scene.concentration.shape() == Shape{4, 36});
  CHECK(max(abs(scene.concentration - twin.concentration)).item() == 0);
}
