#include "examples/kolmogorov/flow.h"

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::kolmogorov {

KolmogorovFlow::KolmogorovFlow(const FlowOptions& o, DType dtype)
    : time_step_(o.time_step), torus_(o.points, (o.points - 1) / 3, dtype) {
  const int64_t k = o.force_wavenumber;
  check(0 < k && k <= torus_.modes(), "KolmogorovFlow: a grid of ", o.points,
        " points keeps wavenumbers 1 to ", torus_.modes(), ", not force_wavenumber ", k);
  check(o.time_step > 0, "KolmogorovFlow: time_step must be positive, got ", o.time_step);
  const Tensor& k2 = torus_.wavenumber_squared();
  inverse_laplacian_ = where(gt(k2, 0), 1 / maximum(k2, ones_like(k2)), 0);
  const Tensor rate = k2 * o.viscosity + o.drag;
  half_decay_ = exp(rate * (-o.time_step / 2));
  decay_ = square(half_decay_);
  force_ = zeros_like(k2);
  const int64_t row = Torus::index_of_cosine(k);
  fill_(select(select(force_, 0, row), 0, 0),
        -o.force * static_cast<double>(k) / std::sqrt(2.0));  // the function is sqrt(2) cos ky
}

Velocity KolmogorovFlow::velocity(const Tensor& state) const {
  const Tensor stream = state * inverse_laplacian_;
  return {.x = torus_.slope_y(stream), .y = -torus_.slope_x(stream)};
}

Tensor KolmogorovFlow::advect_and_force(const Tensor& state) const {
  const Velocity v = velocity(state);
  const Tensor advection = v.x * torus_.slope_x(state) + v.y * torus_.slope_y(state);
  return force_ - torus_.coefficients(advection);
}

Tensor KolmogorovFlow::step(const Tensor& state) const {
  const double h = time_step_;
  const Tensor half_way = state * half_decay_;
  const Tensor k1 = advect_and_force(state);
  const Tensor k2 = advect_and_force(half_way + k1 * half_decay_ * (h / 2));
  const Tensor k3 = advect_and_force(add_scaled(half_way, k2, h / 2));
  const Tensor k4 = advect_and_force(half_decay_ * add_scaled(half_way, k3, h));
  const Tensor slopes = decay_ * k1 + half_decay_ * (k2 + k3) * 2 + k4;
  return add_scaled(state * decay_, slopes, h / 6);
}

Tensor KolmogorovFlow::energy(const Tensor& state) const {
  return sum(square(state) * inverse_laplacian_, {-2, -1}) / 2;
}

Tensor KolmogorovFlow::enstrophy(const Tensor& state) const {
  return sum(square(state), {-2, -1}) / 2;
}

}  // namespace brume::kolmogorov
