// Fourier transforms through the public interface, whatever computes them.

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/captured_step.h>
#include <brume/core/tensor.h>
#include <brume/cuda/lib/fft_library.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;

namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

/// How two times three lines of n complex numbers lie: strides of [2, 3, n, 2]. Real ones take the
/// first three.
struct Lying {
  int64_t offset;
  Strides strides;
};

std::vector<Lying> lyings(int64_t n) {
  return {{0, {6 * n, 2 * n, 2, 1}},      // one behind the other
          {1, {6 * n, 2 * n, 2, 1}},      // pairs that begin between two
          {0, {6, 2, 12, 1}},             // side by side
          {0, {2, 4, 12, 1}},             // in another order
          {0, {6 * n, 2, 6, 1}},          // at two distances
          {0, {3 * n, n, 1, 6 * n}},      // parts far from each other
          {0, {6 * n + 2, 2 * n, 2, 1}},  // a gap in the middle
          {0, {0, 2 * n, 2, 1}}};         // three lines, twice
}

Tensor lines(const Tensor& numbers, const Lying& lying, int64_t n, bool complex) {
  Shape shape{2, 3, n, 2};
  Strides strides = lying.strides;
  if (!complex) shape.erase(3), strides.erase(3);
  return alias(numbers, shape, strides, lying.offset);
}

TEST_CASE("transforms of lines are those of the CPU however they lie") {
  const FftOptions half{.norm = FftNorm::ortho};
  for (const int64_t n : {1, 2, 5, 30, 33, 64, 97, 385})
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor there = convert(noise({14 * n + 20}), dtype);
      const Tensor here = transfer(there, kCuda);
      const auto check_all = [&](size_t i) {
        CAPTURE(n);
        CAPTURE(i);
        const int64_t kept = n / 2 + 1;
        const auto each = [&](const Tensor& numbers) {
          const Tensor whole = lines(numbers, lyings(n)[i], n, true);
          const Tensor real = lines(numbers, lyings(n)[i], n, false);
          const Tensor kept_ones = lines(numbers, lyings(kept)[i], kept, true);
          return Tensors{fft(whole, {2}, half), ifft(whole, {2}, half), rfft(real, {2}, half),
                         irfft(kept_ones, {2}, {.norm = FftNorm::ortho, .sizes = {n}})};
        };
        const Tensors want = each(there), got = each(here);
        for (size_t k = 0; k < want.size(); ++k) {
          CAPTURE(k);
          CHECK(distance(transfer(got[k], kCpu), want[k]) < (dtype == DType::f32 ? 2e-6 : 1e-14));
        }
      };
      for (size_t i = 0; i < lyings(n).size(); ++i) check_all(i);
    }
}

TEST_CASE("captured transforms stay right however many others come between") {
  const Tensor x = transfer(noise({3, 40}), kCuda), y = zeros_like(x);
  CapturedStep step(kCuda, [&] { copy_(y, irfft(rfft(x))); });
  for (int i = 0; i < 3; ++i) step();
  REQUIRE(step.is_recorded());
  for (int64_t count = 1; count < 300; ++count) (void)rfft(zeros({count, 2}, {.device = kCuda}));
  copy_(x, noise({3, 40}, 2));
  step();
  CHECK(distance(transfer(y, kCpu), noise({3, 40}, 2)) < 1e-6);
}

TEST_CASE("cuFFT's plans of transforms are made before a step is recorded" *
          doctest::skip(!cuda::has_fft_library())) {
  const Tensor x = transfer(noise({20}), kCuda);
  int64_t n = 16;
  CapturedStep step(kCuda, [&] { (void)rfft(slice(x, 0, 0, n--)); });
  step();
  step();
  CHECK(error_of([&] { step(); }) ==
        "rfft: not inside a captured step: cuFFT has met no transform of this layout before");
}

}  // namespace
