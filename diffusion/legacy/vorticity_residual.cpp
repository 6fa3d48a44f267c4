#include <brume/diffusion/legacy/vorticity_residual.h>

#include <cmath>
#include <numbers>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

constexpr double kFrameTime = 1.0 / 32, kDrag = 0.1, kForce = 4, kForceWaves = 4;

// Factors of the coefficients that rfft gives for N x N points: x along the rows.
struct Wavenumbers {
  explicit Wavenumbers(int64_t n, const TensorOptions& options) {
    std::vector<double> x, y, square;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j <= n / 2; ++j) {
        // The wave of N / 2 has the negative number, as in a whole spectrum.
        const auto kx = static_cast<double>(i < n / 2 ? i : i - n);
        const auto ky = static_cast<double>(j < n / 2 ? j : -j);
        x.insert(x.end(), {0, kx});
        y.insert(y.end(), {0, ky});
        square.push_back(i + j == 0 ? 1 : kx * kx + ky * ky);
      }
    const auto moved = [&](const std::vector<double>& values, const Shape& shape) {
      return transfer(convert(from_vector(values, shape), options.dtype), options.device);
    };
    slope_x = moved(x, {n, n / 2 + 1, 2});
    slope_y = moved(y, {n, n / 2 + 1, 2});
    squared = moved(square, {n, n / 2 + 1, 1});
  }
  Tensor slope_x, slope_y;  // i k
  Tensor squared;           // k^2, and 1 at k = 0
};

// -4 cos(4 y) @shape [N]
Tensor force(int64_t n, const TensorOptions& options) {
  return cos(arange(0, n, kForceWaves * 2 * std::numbers::pi / static_cast<double>(n), options)) *
         -kForce;
}

}  // namespace

Tensor vorticity_residual_gradient(const Tensor& vorticity, double viscosity) {
  check(vorticity.rank() == 4 && vorticity.size(1) >= 3 && vorticity.size(2) % 2 == 0 &&
            vorticity.size(2) == vorticity.size(3),
        "vorticity_residual_gradient: wants three or more frames of N x N points, N even, got ",
        vorticity.shape());
  const EnableGrad record;
  const Tensor w = set_requires_grad(detach(vorticity));
  const int64_t frames = w.size(1), n = w.size(2);
  const TensorOptions options{.dtype = w.dtype(), .device = w.device()};
  const Wavenumbers k(n, options);
  const Tensor inner = slice(w, 1, 1, frames - 1);
  const Tensor spectrum = rfft(inner, {-2, -1});
  const auto field = [](const Tensor& x) { return irfft(x, {-2, -1}); };
  const Tensor stream = spectrum / k.squared;
  const Tensor u = field(complex_multiply(stream, k.slope_y));
  const Tensor v = field(complex_multiply(stream, -k.slope_x));
  const Tensor advection = u * field(complex_multiply(spectrum, k.slope_x)) +
                           v * field(complex_multiply(spectrum, k.slope_y));
  const Tensor laplacian = field(spectrum * -k.squared);
  const Tensor rate = (slice(w, 1, 2, frames) - slice(w, 1, 0, frames - 2)) / (2 * kFrameTime);
  const Tensor missed =
      rate + advection - laplacian * viscosity + inner * kDrag - force(n, options);
  return grad({mean(square(missed))}, {w})[0];
}

}  // namespace brume::diffusion
