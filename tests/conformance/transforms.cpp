// Fourier transforms.

#include <cmath>

#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

FftOptions options(Arguments& a, const char* sizes) {
  FftOptions o;
  const std::string norm = a.text("norm", "backward");
  check<Error>(norm == "backward" || norm == "forward" || norm == "ortho", "norm: unknown ", norm);
  if (norm == "forward") o.norm = FftNorm::forward;
  if (norm == "ortho") o.norm = FftNorm::ortho;
  o.sizes = a.integers(sizes, {});
  return o;
}

// A real tensor becomes a complex one with imaginary parts of 0.
Tensor complex_input(Arguments& a) {
  const Array& x = a.array("input");
  if (x.complex) return x.tensor;
  return stack({x.tensor, zeros_like(x.tensor)}, -1);
}

using Transform = Tensor (*)(const Tensor&, const std::vector<int64_t>&, const FftOptions&);

// Transforms of a family differ in the default of `dim`: the last axis, the last two, all.
template <Transform f, bool complex_in, bool complex_out, int axes>
Value transformed(Arguments& a) {
  const Tensor x = complex_in ? complex_input(a) : a.tensor("input");
  const FftOptions o = options(a, axes == 1 ? "n" : "s");
  std::vector<int64_t> along;
  const int64_t count = axes != 0         ? axes
                        : o.sizes.empty() ? x.rank() - (complex_in ? 1 : 0)
                                          : static_cast<int64_t>(o.sizes.size());
  for (int64_t i = 0; i < count; ++i) along.push_back(i - count);
  return Array{f(x, a.integers("dim", along), o), complex_out};
}

template <bool inverse>
Value shifted(Arguments& a) {
  Tensor x = a.tensor("input");
  for (int axis = 0; axis < x.rank(); ++axis) {
    const int64_t n = x.size(axis);
    x = roll(x, inverse ? -(n / 2) : n / 2, axis);
  }
  return x;
}

template <bool half>
Value frequencies(Arguments& a) {
  const int64_t n = a.integer("n");
  const double spacing = a.number("d", 1) * static_cast<double>(n);
  std::vector<float> f;
  for (int64_t k = 0; k < (half ? n / 2 + 1 : n); ++k)
    f.push_back(static_cast<float>(static_cast<double>(half || 2 * k < n ? k : k - n) / spacing));
  return from_vector(f, {static_cast<int64_t>(f.size())});
}

}  // namespace

void add_transforms(Functions& t) {
  t["torch.fft.fft"] = transformed<fft, true, true, 1>;
  t["torch.fft.ifft"] = transformed<ifft, true, true, 1>;
  t["torch.fft.rfft"] = transformed<rfft, false, true, 1>;
  t["torch.fft.irfft"] = transformed<irfft, true, false, 1>;
  t["torch.fft.fft2"] = transformed<fft, true, true, 2>;
  t["torch.fft.ifft2"] = transformed<ifft, true, true, 2>;
  t["torch.fft.rfft2"] = transformed<rfft, false, true, 2>;
  t["torch.fft.irfft2"] = transformed<irfft, true, false, 2>;
  t["torch.fft.fftn"] = transformed<fft, true, true, 0>;
  t["torch.fft.ifftn"] = transformed<ifft, true, true, 0>;
  t["torch.fft.rfftn"] = transformed<rfft, false, true, 0>;
  t["torch.fft.irfftn"] = transformed<irfft, true, false, 0>;
  t["torch.fft.fftshift"] = shifted<false>;
  t["torch.fft.ifftshift"] = shifted<true>;
  t["torch.fft.fftfreq"] = frequencies<false>;
  t["torch.fft.rfftfreq"] = frequencies<true>;
}

}  // namespace brume::conformance
