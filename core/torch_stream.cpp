#include <brume/core/torch_stream.h>

#include <cmath>
#include <numbers>

namespace brume {

uint64_t TorchStream::long_word() {
  const uint64_t high = word();
  return high << 32 | word();
}

double TorchStream::uniform() {
  return static_cast<double>(long_word() & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

void TorchStream::fill_uniform(std::span<float> out) {
  for (float& x : out) x = static_cast<float>(word() & 0xFFFFFFU) * 0x1p-24F;
}
void TorchStream::fill_uniform(std::span<double> out) {
  for (double& x : out) x = uniform();
}

double TorchStream::normal() {
  if (second_normal_) {
    const double z = *second_normal_;
    second_normal_.reset();
    return z;
  }
  const double u1 = uniform(), u2 = uniform();
  const double r = std::sqrt(-2 * std::log1p(-u2)), angle = 2 * std::numbers::pi * u1;
  second_normal_ = r * std::sin(angle);
  return r * std::cos(angle);
}

// Sixteen uniforms become sixteen normals: the first eight are radii, the others angles.
template <class T>
void TorchStream::fill_sixteen(T* out) {
  for (int j = 0; j < 8; ++j) {
    const T r = std::sqrt(T(-2) * std::log(T(1) - out[j]));
    const T angle = static_cast<T>(2 * std::numbers::pi * static_cast<double>(out[j + 8]));
    out[j] = r * std::cos(angle);
    out[j + 8] = r * std::sin(angle);
  }
}

template <class T>
void TorchStream::fill_normals(std::span<T> out) {
  if (out.size() < 16) {
    for (T& x : out) x = static_cast<T>(normal());
    return;
  }
  fill_uniform(out);
  for (size_t i = 0; i + 16 <= out.size(); i += 16) fill_sixteen(&out[i]);
  if (out.size() % 16 == 0) return;
  const std::span<T> last = out.last(16);
  fill_uniform(last);
  fill_sixteen(last.data());
}

void TorchStream::fill_normal(std::span<float> out) { fill_normals(out); }
void TorchStream::fill_normal(std::span<double> out) { fill_normals(out); }

int64_t TorchStream::integer(int64_t n) {
  const auto range = static_cast<uint64_t>(n);
  return static_cast<int64_t>((range < uint64_t{1} << 32 ? word() : long_word()) % range);
}

double TorchStream::gamma(double shape) {
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    double x, y;
    do {
      x = normal();
      y = 1 + c * x;
    } while (y <= 0);
    const double v = y * y * y, u = 1 - uniform(), square = x * x;
    if (u < 1 - 0.0331 * square * square) return d * v;
    if (std::log(u) < 0.5 * square + d * (1 - v + std::log(v))) return d * v;
  }
}

}  // namespace brume
