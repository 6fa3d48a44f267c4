#pragma once
// Family gemm: products of matrices, with what is done to a finished element.

#include <brume/core/kernels/kernel.h>

namespace brume {

/// c = (a b + bias + residual) * scale; an absent view is an absent term. All of one dtype.
struct GemmEpilogue {
  View bias{};      // [N], contiguous
  View residual{};  // the shape of c, N contiguous
  double scale = 1;
};

struct GemmKernels {
  // For every index of the leading axes. a [..., M, K], b [..., K, N]: any strides, 0 along
  // repeated axes; c [..., M, N]: N contiguous. f32 f64 bf16 f16; sums in f32 or wider. The order
  // in which an element is summed depends on K alone.
  Kernel<"matmul", void(const View& a, const View& b, const GemmEpilogue& epilogue, const View& c)>
      matmul{};
};

}  // namespace brume
