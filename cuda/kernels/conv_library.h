#pragma once

#include <brume/core/kernels/conv.h>

namespace brume::cuda {

/// As ConvKernels by cuDNN (lib/conv_library.h), each false if it has not been asked for or does
/// not take this convolution. adjoint: from gy to gx.
bool conv_by_library(const char* op, bool adjoint, const View& from, const View& w,
                     const ConvParams& params, const ConvEpilogue& epilogue, const View& to);
bool conv_weight_gradient_by_library(const char* op, const View& x, const View& gy,
                                     const ConvParams& params, const View& gw);

}  // namespace brume::cuda
