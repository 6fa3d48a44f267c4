#pragma once
// How a thread finds its elements in several tensors of one shape, whatever their strides.

#include <cuda_runtime.h>

#include <cstdint>

#include <brume/core/dtype.h>
#include <brume/core/shape.h>
#include <brume/cuda/device/divider.cuh>

namespace brume::cuda {

/// The steps of a walk over K tensors: of one element, or of `width` elements of a row (the last
/// step of a row may be shorter). Axes stand innermost first.
template <int K>
struct Steps {
  uint32_t count = 0;
  int rank = 0;
  int64_t row = 0;  // elements
  Divider size[kMaxRank];
  int64_t stride[K][kMaxRank] = {};  // in elements, per step on axis 0
  void* data[K] = {};                // null for a tensor that is not there
  DType dtype[K] = {};

  /// Offsets of a step's first element in the first n tensors, and how many elements the step has.
  template <int kWidth, int n>
  __device__ int locate(uint32_t step, int64_t (&offset)[n]) const {
    uint32_t in_row = 0;
#pragma unroll
    for (int k = 0; k < n; ++k) offset[k] = 0;
#pragma unroll 1
    for (int axis = 0; axis < rank; ++axis) {
      const uint32_t next = axis + 1 < rank ? size[axis].quotient(step) : 0;
      const uint32_t at = step - next * size[axis].divisor();
#pragma unroll
      for (int k = 0; k < n; ++k) offset[k] += static_cast<int64_t>(at) * stride[k][axis];
      if (axis == 0) in_row = at;
      step = next;
    }
    const int64_t left = row - static_cast<int64_t>(in_row) * kWidth;
    return left < kWidth ? static_cast<int>(left) : kWidth;
  }
};

}  // namespace brume::cuda
