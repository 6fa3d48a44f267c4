#pragma once

#include <brume/core/tensor.h>

namespace brume::bench {

/// A tensor of numbers in [-1, 1) that depend on their position alone.
inline Tensor values(const Shape& shape, Layout layout = Layout::row_major) {
  Tensor x = empty(shape, {DType::f32, kCpu, layout});
  float* data = static_cast<float*>(x.data());
  uint32_t state = 1;
  for (int64_t i = 0; i < x.numel(); ++i) {
    state = state * 1664525U + 1013904223U;
    data[i] = static_cast<float>(state >> 8) / (1 << 23) - 1;
  }
  return x;
}

}  // namespace brume::bench
