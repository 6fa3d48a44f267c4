#include "examples/kolmogorov/torus.h"

#include <cmath>
#include <numbers>
#include <vector>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::kolmogorov {
namespace {

// left x right^T, for each field of x
Tensor apply(const Tensor& left, const Tensor& x, const Tensor& right) {
  return matmul(left, matmul(x, transpose(right, 0, 1)));
}

}  // namespace

Torus::Torus(int64_t points, int64_t modes, DType dtype) : points_(points), modes_(modes) {
  check(0 < modes && 2 * modes < points, "Torus: a grid of ", points, " x ", points,
        " points cannot tell ", modes, " wavenumbers apart");
  const int64_t count = 2 * modes + 1;
  std::vector<double> values(static_cast<size_t>(points * count)), slopes(values.size()), squares;
  for (int64_t m = 0; m < count; ++m) {
    const int64_t k = (m + 1) / 2;
    squares.push_back(static_cast<double>(k * k));
    for (int64_t i = 0; i < points; ++i) {
      // The angle is reduced in integers: the same bits at points that are the same.
      const double angle =
          2 * std::numbers::pi * static_cast<double>(i * k % points) / static_cast<double>(points);
      const double c = std::sqrt(2.0) * std::cos(angle), s = std::sqrt(2.0) * std::sin(angle);
      const auto at = static_cast<size_t>(i * count + m);
      const auto wavenumber = static_cast<double>(k);
      values[at] = m == 0 ? 1 : m % 2 == 1 ? c : s;
      slopes[at] = m == 0 ? 0 : m % 2 == 1 ? -wavenumber * s : wavenumber * c;
    }
  }
  values_ = convert(from_vector(values, {points, count}), dtype);
  slopes_ = convert(from_vector(slopes, {points, count}), dtype);
  const Tensor along = convert(from_vector(squares, {count}), dtype);
  wavenumber_squared_ = unsqueeze(along, 1) + along;
}

Tensor Torus::field(const Tensor& a) const { return apply(values_, a, values_); }
Tensor Torus::slope_x(const Tensor& a) const { return apply(values_, a, slopes_); }
Tensor Torus::slope_y(const Tensor& a) const { return apply(slopes_, a, values_); }

Tensor Torus::coefficients(const Tensor& field) const {
  const Tensor back = transpose(values_, 0, 1);
  return apply(back, field, back) / static_cast<double>(points_ * points_);
}

}  // namespace brume::kolmogorov
