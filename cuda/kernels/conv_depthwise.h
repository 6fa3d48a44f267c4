#pragma once

#include <brume/core/kernels/conv.h>

namespace brume::cuda {

/// Whether each channel is convolved by itself, and there is more than one.
inline bool is_depthwise(const View& w, const ConvParams& params) {
  return params.groups > 1 && w.size(0) == params.groups && w.size(1) == 1;
}

/// The kernels of ConvKernels for these: without the bias's gradient.
void depthwise_forward(const View& x, const View& w, const ConvParams& params,
                       const ConvEpilogue& epilogue, const View& y);
void depthwise_input_gradient(const View& gy, const View& w, const ConvParams& params,
                              const ConvEpilogue& epilogue, const View& gx);
void depthwise_weight_gradient(const View& x, const View& gy, const ConvParams& params,
                               const View& gw);

}  // namespace brume::cuda
