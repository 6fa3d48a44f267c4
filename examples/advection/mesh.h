#pragma once

#include <array>
#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::advection {

using Point = std::array<double, 2>;

/// The unit square in triangles.
struct Mesh {
  std::vector<Point> points;
  std::vector<std::array<int64_t, 3>> triangles;  // anticlockwise
  std::vector<bool> on_edge;                      // of the square, per point
  double spacing = 0;                             // typical distance of neighbours

  int64_t size() const { return static_cast<int64_t>(points.size()); }
};

/// side x side points of a grid, moved at random by up to 0.22 of its spacing (those on the edge
/// along it, the corners not at all); of the two ways to halve a cell the shorter cut is taken.
Mesh irregular_mesh(int64_t side, Generator& rng);

/// Twice the signed area of a triangle; positive if it is anticlockwise.
double cross(const Point& a, const Point& b, const Point& c);

/// Values at the points as a picture: each triangle has the mean of its corners.
/// @shape  values [B, N] -> [B, 1, pixels, pixels], y up
Tensor picture(const Mesh& mesh, const Tensor& values, int64_t pixels);

}  // namespace brume::advection
