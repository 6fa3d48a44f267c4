#pragma once
// The numbers that PyTorch's CPU generator draws, so that a seed published with a result made there
// gives the same noise here.

#include <cstdint>
#include <optional>
#include <random>
#include <span>

namespace brume {

/// MT19937, drawn serially. @source PyTorch's ATen, as observed; f32 normals agree to 5e-7, since
/// its vectorised builds take logarithm and cosine from polynomials
class TorchStream {
 public:
  explicit TorchStream(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}

  uint32_t word() { return static_cast<uint32_t>(engine_()); }
  void fill_uniform(std::span<float> out);
  void fill_uniform(std::span<double> out);
  void fill_normal(std::span<float> out);
  void fill_normal(std::span<double> out);
  int64_t integer(int64_t n);
  double gamma(double shape);

 private:
  uint64_t long_word();
  double uniform();
  double normal();
  template <class T>
  void fill_normals(std::span<T> out);
  template <class T>
  void fill_sixteen(T* out);

  std::mt19937 engine_;
  std::optional<double> second_normal_;  // normals come in pairs; kept across calls
};

}  // namespace brume
