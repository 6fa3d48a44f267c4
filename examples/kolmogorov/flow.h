#pragma once
// Two-dimensional incompressible flow on the torus, stirred by the force sin(k y) along x.

#include <brume/nn/config.h>

#include "examples/kolmogorov/torus.h"

namespace brume::kolmogorov {

struct FlowOptions {
  int64_t points = 64;  // of the grid along each axis; wavenumbers up to (points - 1) / 3 are kept
  double viscosity = 0.01, drag = 0.1;
  double force = 1;
  int64_t force_wavenumber = 4;
  double time_step = 0.01;
  template <class V>
  void fields(V& v) {
    v("points", points);
    v("viscosity", viscosity);
    v("drag", drag);
    v("force", force);
    v("force_wavenumber", force_wavenumber);
    v("time_step", time_step);
  }
};

struct Velocity {
  Tensor x, y;
};

/// The Navier-Stokes equations for the vorticity w = dv/dx - du/dy,
///
///   dw/dt + u dw/dx + v dw/dy = viscosity (d2/dx2 + d2/dy2) w - drag w - force k cos(k y),
///
/// where (u, v) = (dp/dy, -dp/dx) and the stream function p solves -(d2/dx2 + d2/dy2) p = w.
/// A third of the grid's wavenumbers are kept, so products on the grid are exact for those (the
/// 2/3 rule), and energy and enstrophy change by viscosity, drag and force alone.
/// @shape  state: coefficients of w [..., M, M], any number of flows at once
class KolmogorovFlow {
 public:
  /// @throws ShapeError unless the force's wavenumber is kept and time_step > 0
  explicit KolmogorovFlow(const FlowOptions& options, DType dtype = DType::f64);

  const Torus& torus() const { return torus_; }
  /// The state after one time step, by the Runge-Kutta method of order 4 on the equation whose
  /// linear part has been integrated exactly (integrating factor).
  Tensor step(const Tensor& state) const;
  /// On the grid; free of divergence since it comes from a stream function.
  Velocity velocity(const Tensor& state) const;
  /// Means over the torus of (u^2 + v^2) / 2 and w^2 / 2. @shape [...]
  Tensor energy(const Tensor& state) const;
  Tensor enstrophy(const Tensor& state) const;

 private:
  Tensor advect_and_force(const Tensor& state) const;

  double time_step_;
  Torus torus_;
  Tensor inverse_laplacian_;   // stream function of each coefficient; 0 for the mean
  Tensor force_;               // coefficients of the force's curl
  Tensor half_decay_, decay_;  // linear decay in half a step and in a whole one
};

}  // namespace brume::kolmogorov
