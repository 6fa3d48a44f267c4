#include "examples/advection/mesh.h"

#include <algorithm>
#include <cmath>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::advection {
namespace {

constexpr double kMostMoved = 0.22;  // spacings; below 1/4 every cell stays convex

double distance(const Point& a, const Point& b) { return std::hypot(a[0] - b[0], a[1] - b[1]); }

}  // namespace

double cross(const Point& a, const Point& b, const Point& c) {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

Mesh irregular_mesh(int64_t side, Generator& rng) {
  check(side >= 2, "irregular_mesh: wants at least 2 points a side, got ", side);
  Mesh mesh{.points = {}, .triangles = {}, .on_edge = {}, .spacing = 1 / double(side - 1)};
  const auto moves = uniform({side * side, 2}, rng, {.dtype = DType::f64}).to_vector<double>();
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j) {
      const bool on_bottom_or_top = i == 0 || i == side - 1, on_side = j == 0 || j == side - 1;
      const auto move = [&](bool fixed, size_t axis) {
        const size_t at = static_cast<size_t>(i * side + j) * 2 + axis;
        return fixed ? 0 : (moves[at] - 0.5) * 2 * kMostMoved;
      };
      mesh.points.push_back({(static_cast<double>(j) + move(on_side, 0)) * mesh.spacing,
                             (static_cast<double>(i) + move(on_bottom_or_top, 1)) * mesh.spacing});
      mesh.on_edge.push_back(on_bottom_or_top || on_side);
    }
  for (int64_t i = 0; i + 1 < side; ++i)
    for (int64_t j = 0; j + 1 < side; ++j) {
      const int64_t a = i * side + j, b = a + 1, c = b + side, d = a + side;  // anticlockwise
      const auto at = [&](int64_t point) { return mesh.points[static_cast<size_t>(point)]; };
      if (distance(at(a), at(c)) < distance(at(b), at(d)))
        mesh.triangles.insert(mesh.triangles.end(), {{a, b, c}, {a, c, d}});
      else
        mesh.triangles.insert(mesh.triangles.end(), {{a, b, d}, {b, c, d}});
    }
  return mesh;
}

Tensor picture(const Mesh& mesh, const Tensor& values, int64_t pixels) {
  // The corners of the triangle that each pixel's centre lies in.
  std::vector<int64_t> corners(static_cast<size_t>(3 * pixels * pixels));
  const auto width = static_cast<double>(pixels);
  for (const auto& [a, b, c] : mesh.triangles) {
    const Point p[] = {mesh.points[static_cast<size_t>(a)], mesh.points[static_cast<size_t>(b)],
                       mesh.points[static_cast<size_t>(c)]};
    const auto from = [&](size_t axis) {
      return std::floor(std::min({p[0][axis], p[1][axis], p[2][axis]}) * width);
    };
    const auto to = [&](size_t axis) {
      return std::min(width, std::ceil(std::max({p[0][axis], p[1][axis], p[2][axis]}) * width));
    };
    for (double i = from(1); i < to(1); ++i)
      for (double j = from(0); j < to(0); ++j) {
        const Point centre{(j + 0.5) / width, (i + 0.5) / width};
        if (cross(p[0], p[1], centre) < 0 || cross(p[1], p[2], centre) < 0 ||
            cross(p[2], p[0], centre) < 0)
          continue;
        const auto at = static_cast<size_t>((width - 1 - i) * width + j) * 3;
        corners[at] = a, corners[at + 1] = b, corners[at + 2] = c;
      }
  }
  const Tensor index = from_vector(corners, {3 * pixels * pixels});
  const Tensor picked = reshape(index_select(values, 1, index), {-1, pixels, pixels, 3});
  return unsqueeze(mean(picked, 3), 1);
}

}  // namespace brume::advection
