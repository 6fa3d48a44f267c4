#pragma once

#include <brume/core/kernels/conv.h>

namespace brume::cuda {

/// As ConvKernels::weight_gradient.
void conv_weight_gradient(const View& x, const View& gy, const ConvParams& params, const View& gw,
                          const View& gb);

}  // namespace brume::cuda
