#pragma once
// Functions on the torus [0, 2 pi)^2: values on a grid, and coefficients in a real Fourier basis.

#include <brume/core/tensor.h>

namespace brume::kolmogorov {

/// A grid of N x N points and the functions p(y) q(x) on it, where p and q run over
/// 1, sqrt(2) cos x, sqrt(2) sin x, ..., sqrt(2) cos Kx, sqrt(2) sin Kx.
///
/// They are orthonormal in the mean over the grid, so a field's mean square is the sum of its
/// squared coefficients. The transforms are two small matrix products each, exact, and the slope of
/// a field is its transform with the slopes of the functions: no complex numbers, no Nyquist mode.
/// @shape  fields [..., N, N] and coefficients [..., M, M], M = 2 K + 1; y first, then x
class Torus {
 public:
  /// @throws ShapeError unless 0 < 2 K < N
  Torus(int64_t points, int64_t modes, DType dtype = DType::f64);

  Tensor field(const Tensor& coefficients) const;
  Tensor slope_x(const Tensor& coefficients) const;
  Tensor slope_y(const Tensor& coefficients) const;
  /// The part of a field that the functions can express.
  Tensor coefficients(const Tensor& field) const;

  int64_t points() const { return points_; }
  int64_t modes() const { return modes_; }  // K
  /// kx^2 + ky^2 of each coefficient. @shape [M, M]
  const Tensor& wavenumber_squared() const { return wavenumber_squared_; }
  /// Place of cos kx (or of the constant, k = 0) among the M functions; sin kx follows it.
  static int64_t index_of_cosine(int64_t k) { return k == 0 ? 0 : 2 * k - 1; }

 private:
  int64_t points_, modes_;
  Tensor values_, slopes_;  // of the functions, [N, M]
  Tensor wavenumber_squared_;
};

}  // namespace brume::kolmogorov
