#pragma once
// Inner loops of convolutions whose channels do not mix, one table per instruction set.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// `count` neighbouring results with the same taps, `channels` numbers each.
template <class T>
struct DepthwisePixels {
  int64_t channels, count, taps;
  const T* const* x;  // per tap: what the first result reads
  const T* const* w;  // per tap: one number per channel
  int64_t x_step;     // from one result's pixel to the next
  const T* shift;     // one number per channel; null: none
  const T* residual;  // null: none
  int64_t residual_step;
  T scale;
  T* y;
  int64_t y_step;
};

template <class T>
struct DepthwiseLoops {
  // y = (sum over taps of x w + shift + residual) * scale
  void (*pixels)(const DepthwisePixels<T>& p);
  // sums[c] += sum over i < count of x[i * x_step + c] g[i * g_step + c]
  void (*weight)(int64_t channels, int64_t count, const T* x, int64_t x_step, const T* g,
                 int64_t g_step, T* sums);
};

BRUME_ISA_TABLE(DepthwiseLoops<float>, depthwise_f32)
namespace portable {
extern const DepthwiseLoops<double> depthwise_f64;
}

template <class T>
const DepthwiseLoops<T>& depthwise_loops();
template <>
inline const DepthwiseLoops<float>& depthwise_loops<float>() {
  return depthwise_f32();
}
template <>
inline const DepthwiseLoops<double>& depthwise_loops<double>() {
  return portable::depthwise_f64;
}

}  // namespace brume::cpu
