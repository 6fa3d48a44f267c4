#include "examples/advection/transport.h"

#include <cmath>
#include <map>
#include <numbers>

namespace brume::advection {
namespace {

constexpr double kPi = std::numbers::pi;

Point middle(std::initializer_list<Point> points) {
  Point sum{};
  for (const Point& p : points) sum = {sum[0] + p[0], sum[1] + p[1]};
  const auto count = static_cast<double>(points.size());
  return {sum[0] / count, sum[1] / count};
}

}  // namespace

double Flow::stream(const Point& p) const {
  const double x = kPi * p[0], y = kPi * p[1];
  return strength[0] * std::sin(x) * std::sin(y) + strength[1] * std::sin(2 * x) * std::sin(y) +
         strength[2] * std::sin(x) * std::sin(2 * y);
}

Point Flow::velocity(const Point& p) const {
  const double x = kPi * p[0], y = kPi * p[1];
  const auto [a, b, c] = strength;
  return {kPi * (a * std::sin(x) * std::cos(y) + b * std::sin(2 * x) * std::cos(y) +
                 2 * c * std::sin(x) * std::cos(2 * y)),
          -kPi * (a * std::cos(x) * std::sin(y) + 2 * b * std::cos(2 * x) * std::sin(y) +
                  c * std::cos(x) * std::sin(2 * y))};
}

Transport::Transport(const Mesh& mesh, const Flow& flow, double diffusivity)
    : volumes_(mesh.points.size()) {
  std::map<std::pair<size_t, size_t>, Edge> edges;
  for (const auto& triangle : mesh.triangles) {
    std::array<size_t, 3> at{};
    for (size_t i = 0; i < 3; ++i) at[i] = static_cast<size_t>(triangle[i]);
    const Point corners[] = {mesh.points[at[0]], mesh.points[at[1]], mesh.points[at[2]]};
    const double twice_area = cross(corners[0], corners[1], corners[2]);
    const Point centre = middle({corners[0], corners[1], corners[2]});
    for (size_t i = 0; i < 3; ++i) {
      const size_t j = (i + 1) % 3, opposite = (i + 2) % 3;
      volumes_[at[i]] += twice_area / 6;
      // The face between two volumes runs from the middle of their edge to the triangle's centre;
      // what crosses it from i to j is the stream function's rise along it.
      const Point &a = corners[i], &b = corners[j], &c = corners[opposite];
      const double crossing = flow.stream(centre) - flow.stream(middle({a, b}));
      const double cotangent =
          ((a[0] - c[0]) * (b[0] - c[0]) + (a[1] - c[1]) * (b[1] - c[1])) / twice_area;
      const auto [low, high] = std::minmax(at[i], at[j]);
      Edge& edge = edges[{low, high}];
      edge.from = low, edge.to = high;
      edge.flow += at[i] == low ? crossing : -crossing;
      edge.spreading += diffusivity * cotangent / 2;
    }
  }
  for (const auto& [ends, edge] : edges) edges_.push_back(edge);
}

std::vector<double> Transport::slope(const std::vector<double>& c) const {
  std::vector<double> out(c.size());
  for (const Edge& edge : edges_) {
    const double here = c[edge.from], there = c[edge.to];
    const double moved = edge.flow * (here + there) / 2 + edge.spreading * (here - there);
    out[edge.from] -= moved;
    out[edge.to] += moved;
  }
  for (size_t i = 0; i < out.size(); ++i) out[i] /= volumes_[i];
  return out;
}

void Transport::step(std::vector<double>& c, double dt) const {
  std::vector<double> stage = c, next = c;
  constexpr double kShare[] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6}, kAhead[] = {0.5, 0.5, 1, 0};
  for (size_t s = 0; s < 4; ++s) {
    const std::vector<double> k = slope(stage);
    for (size_t i = 0; i < c.size(); ++i) {
      next[i] += dt * kShare[s] * k[i];
      stage[i] = c[i] + dt * kAhead[s] * k[i];
    }
  }
  c = next;
}

}  // namespace brume::advection
