#pragma once
// Family conv: cross-correlations in one, two and three dimensions, and their two gradients.

#include <cstdint>

#include <brume/core/kernels/kernel.h>

namespace brume {

/// How a two-dimensional 3x3 convolution of stride 1 without dilation and groups, with at least 32
/// channels on both sides, is to be computed in f32. Any other convolution is `direct` whatever is
/// asked, and so is one on a backend that lacks the Winograd forms.
enum class ConvAlgorithm : uint8_t {
  direct,       // multiply and add
  winograd_f2,  // F(2x2, 3x3): 2.25 times fewer products, and a smaller error than direct
  winograd_f4,  // F(4x4, 3x3): 4 times fewer products, 2 to 3 times the error of direct
};

struct ConvParams {
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  int64_t groups = 1;
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
};

/// y = (x * w + bias + per_sample + residual) * scale; an absent view is an absent term.
struct ConvEpilogue {
  View bias{};        // [Co], contiguous
  View per_sample{};  // [B, Co], Co contiguous
  View residual{};    // the shape of y, Co contiguous
  double scale = 1;
};

// x [B, Ci, ...] and y [B, Co, ...] with one to three axes behind and C contiguous; w [Co, Ci /
// groups, ...] with any strides. All of one dtype: f32 f64 bf16 f16; sums in f32 or wider. Entry i
// of the params belongs to axis i + 2. A sample's bits do not depend on its batch.
struct ConvKernels {
  Kernel<"conv", void(const View& x, const View& w, const ConvParams& params,
                      const ConvEpilogue& epilogue, const View& y)>
      forward{};
  // The adjoint of forward in x; the epilogue's Co is then x's Ci.
  Kernel<"conv_input_gradient", void(const View& gy, const View& w, const ConvParams& params,
                                     const ConvEpilogue& epilogue, const View& gx)>
      input_gradient{};
  // gw row-major; gb [Co], absent = not wanted.
  Kernel<"conv_weight_gradient", void(const View& x, const View& gy, const ConvParams& params,
                                      const View& gw, const View& gb)>
      weight_gradient{};
};

}  // namespace brume
