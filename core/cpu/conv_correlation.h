#pragma once
// A convolution and its input gradient as one thing: each result adds up inputs at fixed offsets.

#include <algorithm>
#include <vector>

#include <brume/core/cpu/conv_driver.h>

namespace brume::cpu {

struct Tap {
  int64_t offset, entry;
};

// One axis of a correlation: results first, first + every, ...; the o-th of them reads input
// o * step + offset through kernel entry `entry`, for each tap in ascending order of offset.
struct AxisPlan {
  int64_t results = 0, first = 0, every = 1, step = 1;
  std::vector<Tap> taps;

  int64_t lowest() const { return taps.front().offset; }
  // Inputs that `count` results touch, from the lowest on.
  int64_t span(int64_t count) const {
    return (count - 1) * step + taps.back().offset - taps.front().offset + 1;
  }
  // Whether neighbouring taps read neighbouring inputs.
  bool adjacent() const {
    return taps.back().offset - taps.front().offset + 1 == static_cast<int64_t>(taps.size());
  }
};

inline AxisPlan forward_axis(const ConvShape& s, int axis) {
  AxisPlan p{s.out[axis], 0, 1, s.stride[axis], {}};
  for (int64_t k = 0; k < s.kernel[axis]; ++k)
    p.taps.push_back({k * s.dilation[axis] - s.padding[axis], k});
  return p;
}

// Entries of gx that lie at `phase` modulo the stride: gx[phase + stride j] reads gy[j + offset].
inline AxisPlan gradient_axis(const ConvShape& s, int axis, int64_t phase) {
  const int64_t stride = s.stride[axis];
  AxisPlan p{(s.in[axis] - phase + stride - 1) / stride, phase, stride, 1, {}};
  for (int64_t k = s.kernel[axis] - 1; k >= 0; --k) {
    const int64_t reach = phase + s.padding[axis] - k * s.dilation[axis];
    if (reach % stride == 0) p.taps.push_back({reach / stride, k});
  }
  return p;
}

// y[o] = sum over taps of x[o * step + offset] w[entry], summed over taps, then `from` channels.
template <class T>
struct Correlation {
  int64_t batch, groups, from, to;  // channels of one group
  const int64_t* in;                // sizes of x
  AxisPlan axis[3];
  Image<const T> x;
  const T* w;
  int64_t w_group, w_to, w_from, w_space[3];
  ConvTerms<T> terms;
  Image<T> y;

  int64_t taps() const {
    return static_cast<int64_t>(axis[0].taps.size() * axis[1].taps.size() * axis[2].taps.size());
  }
};

/// Of one channel per group on both sides.
template <class T>
void correlate_depthwise(const Correlation<T>& c);

}  // namespace brume::cpu
