#pragma once
// Family fft: discrete Fourier transforms along one axis, unnormalised but for a factor, and what
// multiplies spectra.

#include <cstdint>

#include <brume/core/kernels/kernel.h>

namespace brume {

// Complex tensors have a last axis of 2: real, imaginary. f32 or f64, any strides; an axis has any
// length from 1. A line's bits do not depend on the lines beside it.
struct FftKernels {
  // y[k] = factor * sum_j x[j] exp(-+2 pi i j k / n), minus forward, plus inverse; y of x's shape.
  Kernel<"fft", void(bool inverse, int axis, double factor, const View& x, const View& y)> fft{};
  // Of real x [..., n, ...] the frequencies k = 0 .. n / 2 of y [..., n / 2 + 1, ..., 2]. Those
  // that have a mirror image beyond (0 and n / 2 have none) are multiplied by `paired` too.
  Kernel<"rfft", void(int axis, double factor, double paired, const View& x, const View& y)> rfft{};
  // Real y [..., n, ...] from x [..., n / 2 + 1, ..., 2] as from its whole, Hermitian spectrum, the
  // paired frequencies multiplied by `paired` before; imaginary parts of 0 and n / 2 are not read.
  Kernel<"irfft", void(int axis, double factor, double paired, const View& x, const View& y)>
      irfft{};
  // y[n, o, k] = sum over i of x[n, i, k] w'[i, o, k], a product of matrices for each mode k; w' is
  // w or its conjugate, and so is what stands in y. x [N, I, K, 2], w [I, O, K, 2],
  // y [N, O, K, 2]; modes have stride 1, or 2 with the parts next to each other, in x stride 1.
  Kernel<"mode_matmul",
         void(bool conjugate_w, bool conjugate_y, const View& x, const View& w, const View& y)>
      mode_matmul{};
  // Few frequencies f of an axis: y[o, :, f, i] = factor(f) sum_j x[o, j, :, i] exp(-2 pi i f j /
  // n) as a complex number. x [O, n, P, I]: real (P = 1) or real and imaginary part (P = 2); y [O,
  // 2, F, I], row-major: f = 0 .. F - 1 of real x, else 0 .. F / 2 - 1 and then -F / 2 .. -1.
  // `single` is the factor of frequencies without a mirror image, 0 and n / 2, `paired` that of
  // others. I of the operand has stride 1. f32 or f64.
  Kernel<"low_modes", void(double single, double paired, const View& x, const View& y)> low_modes{};
  // Its transpose, from y to x, then row-major.
  Kernel<"from_low_modes", void(double single, double paired, const View& y, const View& x)>
      from_low_modes{};
};

}  // namespace brume
