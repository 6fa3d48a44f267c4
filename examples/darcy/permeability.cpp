#include "examples/darcy/permeability.h"

#include <cmath>
#include <numbers>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::darcy {

Tensor log_permeability(int64_t samples, int64_t points, Generator& rng) {
  constexpr double kPi = std::numbers::pi;
  const TensorOptions f64{.dtype = DType::f64};
  const Tensor a = arange(0, points, 1, f64);                    // waves in half turns
  const Tensor place = (a + 0.5) / static_cast<double>(points);  // of the centres
  const Tensor half = where(eq(a, 0), 1.0, full({points}, std::sqrt(2.0), f64));
  const Tensor waves = cos(unsqueeze(place, 1) * a * kPi) * half;  // [points, waves], orthonormal
  const Tensor falling = pow((square(unsqueeze(a, 1)) + square(a)) * (kPi * kPi) + 9, -1.5);
  const Tensor amplitude = where(eq(unsqueeze(a, 1) + a, 0), 0.0, falling);
  const Tensor draws = normal({samples, points, points}, rng, f64);
  const Tensor coefficients = draws * amplitude / std::sqrt(sum(square(amplitude)).item());
  return matmul(waves, matmul(coefficients, transpose(waves, 0, 1)));
}

}  // namespace brume::darcy
