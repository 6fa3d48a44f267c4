#pragma once
// cuDNN for convolutions, where the user asks for it: BRUME_CONV=cudnn. It is opened on first use;
// without the setting, without the library, and for what it does not take, brume's own kernels
// convolve.

#include <string>

#include <brume/core/f32_mode.h>
#include <brume/core/kernels/conv.h>
#include <brume/cuda/runtime.h>

namespace brume::cuda {

/// y = x * w without any epilogue, or one of its two gradients: the result stands where it is in
/// the forward pass.
struct LibraryConv {
  enum class Pass { forward, input_gradient, weight_gradient };
  Pass pass;
  View x, w, y;
  ConvParams params;
  F32Mode mode;  // of f32
};

/// Whether cuDNN has been asked for and is there; opens it.
/// @throws Error if BRUME_CONV is neither own nor cudnn
bool has_conv_library();

/// Convolves; false if cuDNN does not take this convolution.
/// @throws CudaError if it fails
bool convolve_by_library(const LibraryConv& conv, Stream stream);

/// What convolves, and why, in words for a user.
std::string conv_library_state();

}  // namespace brume::cuda
