#pragma once

#include "examples/advection/mesh.h"

namespace brume::advection {

/// Eddies in a closed box, from the stream function
/// s0 sin(pi x) sin(pi y) + s1 sin(2 pi x) sin(pi y) + s2 sin(pi x) sin(2 pi y).
struct Flow {
  std::array<double, 3> strength{};
  double stream(const Point& p) const;
  Point velocity(const Point& p) const;  // (d stream / dy, -d stream / dx)
};

/// A concentration that the flow carries and that spreads: dc/dt + div(v c) = diffusivity lap(c),
/// nothing through the edge. Finite volumes around the points of the mesh (median duals): the flow
/// from one to the next is a difference of the stream function, so it has no divergence at all, and
/// what leaves one volume enters another. Spreading has the weights of linear elements.
class Transport {
 public:
  Transport(const Mesh& mesh, const Flow& flow, double diffusivity);

  /// One step of Runge-Kutta of order 4.
  void step(std::vector<double>& c, double dt) const;
  const std::vector<double>& volumes() const { return volumes_; }

 private:
  struct Edge {
    size_t from, to;
    double flow = 0, spreading = 0;
  };
  std::vector<double> slope(const std::vector<double>& c) const;

  std::vector<Edge> edges_;
  std::vector<double> volumes_;
};

}  // namespace brume::advection
