#include "examples/patches/medium.h"

#include <cmath>

#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::patches {
namespace {

constexpr double kWaves = 0.1, kWidth = 0.025;  // per pixel: mean wavenumber, its spread
constexpr double kSharpness = 2.5;              // of the borders

// Square root of the power at each wavenumber, as rfft of size x size pixels orders them.
Tensor amplitudes(int64_t size) {
  std::vector<double> out;
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j <= size / 2; ++j) {
      const auto y = static_cast<double>(std::min(i, size - i)), x = static_cast<double>(j);
      const double off = (std::hypot(y, x) / static_cast<double>(size) - kWaves) / kWidth;
      out.push_back(std::exp(-off * off / 4));
    }
  return convert(from_vector(out, {size, size / 2 + 1, 1}), DType::f32);
}

}  // namespace

Tensor draw_media(int64_t count, int64_t size, Generator& rng) {
  const Tensor white = normal({count, 1, size, size}, rng);
  const Tensor field = irfft(rfft(white, {-2, -1}) * amplitudes(size), {-2, -1});
  const Tensor deviation = sqrt(mean(square(field)));
  return tanh(field / deviation * kSharpness);
}

std::vector<double> two_point(const Tensor& x, int64_t lags) {
  std::vector<double> out;
  for (int64_t lag = 0; lag < lags; ++lag) {
    double total = 0;
    for (const int64_t axis : {2, 3}) {
      const int64_t n = x.size(axis);
      total += mean(slice(x, axis, 0, n - lag) * slice(x, axis, lag, n)).item();
    }
    out.push_back(total / 2);
  }
  return out;
}

}  // namespace brume::patches
