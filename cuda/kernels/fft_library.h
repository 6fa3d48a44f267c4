#pragma once

#include <cstdint>

#include <brume/core/kernels/kernel.h>
#include <brume/cuda/lib/fft_library.h>

namespace brume::cuda {

/// A transform of lines of n numbers, as FftKernels has it.
struct LineTransform {
  using Form = LibraryTransform::Form;
  Form form;
  bool inverse = false;
  int64_t n;
  double factor;
  double paired = 1;  // of frequencies that have a mirror image
};

/// As FftKernels by cuFFT (lib/fft_library.h); false if it has not been asked for or does not take
/// this transform. y is not empty.
bool transform_by_library(const char* op, const LineTransform& f, int axis, const View& x,
                          const View& y);

}  // namespace brume::cuda
