#pragma once
// cuFFT for Fourier transforms, where the user asks for it: BRUME_FFT=cufft. It is opened on first
// use; without the setting, without the library, and for what it does not take, brume's own kernels
// transform. It may choose another algorithm for another number of lines.

#include <cstdint>
#include <string>

#include <brume/core/dtype.h>
#include <brume/cuda/runtime.h>

namespace brume::cuda {

/// Lines of n numbers along one axis, without any factor; of real lines the frequencies 0 .. n / 2.
struct LibraryTransform {
  enum class Form { complex, from_real, to_real };
  /// Steps are in numbers, of two parts side by side where they are complex.
  struct Lines {
    void* data;
    int64_t step, distance;  // along a line, from one line to the next
  };
  Form form;
  DType dtype;   // f32 or f64
  bool inverse;  // of complex ones
  int64_t n, count;
  Lines x, y;  // of to_real x is overwritten
};

/// Whether cuFFT has been asked for and is there; opens it.
/// @throws Error if BRUME_FFT is neither own nor cufft
bool has_fft_library();

/// Transforms. Its plan lasts as long as the captured step it is for, or until there are too many.
/// @throws CudaError if it fails
void transform_by_library(const LibraryTransform& transform, Stream stream);

/// What transforms, and why, in words for a user.
std::string fft_library_state();

}  // namespace brume::cuda
