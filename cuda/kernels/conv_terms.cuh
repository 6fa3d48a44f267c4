#pragma once
// What the kernels of convolutions read: images of one to three dimensions as three, d h w, by
// strides; where a pixel and a tap meet; what is done to a finished element.

#include <cuda_runtime.h>

#include <cstdint>

#include <brume/core/kernels/conv.h>

#include <brume/cuda/device/divider.cuh>
#include <brume/cuda/device/math.cuh>
#include <brume/cuda/device/matrix_unit.cuh>
#include <brume/cuda/device/vector.cuh>

namespace brume::cuda {

/// Three numbers, of the axes d h w.
struct Three {
  int at[3];
};

/// Index -> (outer, d, h, w), the last fastest; outer may be a sample.
struct Unravel {
  Divider size[3];
  explicit Unravel(const Three& s)
      : size{Divider(static_cast<uint32_t>(s.at[0])), Divider(static_cast<uint32_t>(s.at[1])),
             Divider(static_cast<uint32_t>(s.at[2]))} {}
  __device__ uint32_t operator()(uint32_t i, Three& out) const {
#pragma unroll
    for (int axis = 2; axis >= 0; --axis) {
      const uint32_t next = size[axis].quotient(i);
      out.at[axis] = static_cast<int>(i - next * size[axis].divisor());
      i = next;
    }
    return i;
  }
};

struct ImageStrides {
  int64_t batch, space[3];
  __device__ int64_t of(int64_t b, const Three& p) const {
    return b * batch + p.at[0] * space[0] + p.at[1] * space[1] + p.at[2] * space[2];
  }
};

inline int missing(const View& x) { return 5 - x.rank(); }

inline ImageStrides strides_of(const View& x) {
  ImageStrides s{};
  if (!x) return s;
  s.batch = x.stride(0);
  for (int i = missing(x); i < 3; ++i) s.space[i] = x.stride(i - missing(x) + 2);
  return s;
}
inline Three sizes_of(const View& x) {
  Three s{{1, 1, 1}};
  for (int i = missing(x); i < 3; ++i) s.at[i] = static_cast<int>(x.size(i - missing(x) + 2));
  return s;
}
inline int64_t product_of(const Three& s) { return int64_t{s.at[0]} * s.at[1] * s.at[2]; }

/// Whether the channels of a group, `channels` of them, are read in chunks.
template <class T>
bool in_packs(const View& x, int64_t channels) {
  const ImageStrides s = strides_of(x);
  return cuda::in_packs(x.as<T>(), channels, {s.batch, s.space[0], s.space[1], s.space[2]});
}

/// Where a pixel of y and a tap meet x.
struct Geometry {
  Three in, out, kernel, stride, padding, dilation;

  Geometry(const View& x, const View& w, const ConvParams& p, const View& y)
      : in(sizes_of(x)), out(sizes_of(y)), kernel(sizes_of(w)) {
    for (int i = 0; i < 3; ++i) {
      const int axis = i - missing(x);
      stride.at[i] = axis < 0 ? 1 : static_cast<int>(p.stride[axis]);
      padding.at[i] = axis < 0 ? 0 : static_cast<int>(p.padding[axis]);
      dilation.at[i] = axis < 0 ? 1 : static_cast<int>(p.dilation[axis]);
    }
  }
  /// False in the padding.
  __device__ bool input(const Three& pixel, const Three& tap, Three& at) const {
    bool inside = true;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      at.at[i] = pixel.at[i] * stride.at[i] - padding.at[i] + tap.at[i] * dilation.at[i];
      inside &= static_cast<unsigned>(at.at[i]) < static_cast<unsigned>(in.at[i]);
    }
    return inside;
  }
  /// The pixel of y that a pixel of x adds to through a tap; false if there is none.
  __device__ bool output(const Three& pixel, const Three& tap, Three& at) const {
    bool inside = true;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      const int from = pixel.at[i] + padding.at[i] - tap.at[i] * dilation.at[i];
      at.at[i] = from / stride.at[i];
      inside &= from >= 0 && at.at[i] * stride.at[i] == from && at.at[i] < out.at[i];
    }
    return inside;
  }
};

/// A pixel of a sample; a tap of a channel. `there` is false beyond the end.
struct Pixel {
  bool there;
  int64_t sample;
  Three at;
};
struct Tap {
  bool there;
  int channel;
  Three at;
};

struct PixelIndex {
  uint32_t count;
  Unravel unravel;
  __device__ Pixel operator()(int64_t i) const {
    Pixel p{i < count, 0, {}};
    if (p.there) p.sample = unravel(static_cast<uint32_t>(i), p.at);
    return p;
  }
};
struct TapIndex {
  uint32_t count;  // taps * channels
  Divider channels;
  Unravel unravel;
  __device__ Tap operator()(int64_t i) const {
    Tap t{i < count, 0, {}};
    if (!t.there) return t;
    const uint32_t tap = channels.quotient(static_cast<uint32_t>(i));
    t.channel = static_cast<int>(static_cast<uint32_t>(i) - tap * channels.divisor());
    unravel(tap, t.at);
    return t;
  }
};

template <class T>
struct Epilogue {
  const T *bias, *per_sample, *residual;
  int64_t per_sample_row;
  ImageStrides residual_strides;
  Wide<T> scale;
  explicit Epilogue(const ConvEpilogue& e)
      : bias(e.bias.as<T>()),
        per_sample(e.per_sample.as<T>()),
        residual(e.residual.as<T>()),
        per_sample_row(e.per_sample ? e.per_sample.stride(0) : 0),
        residual_strides(strides_of(e.residual)),
        scale(static_cast<Wide<T>>(e.scale)) {}
  template <int kCount>
  __device__ void operator()(Wide<T> (&sums)[kCount], int count, const Pixel& p,
                             int64_t channel) const {
    if (bias) add_run(sums, bias + channel, count);
    if (per_sample) add_run(sums, per_sample + p.sample * per_sample_row + channel, count);
    if (residual) add_run(sums, residual + residual_strides.of(p.sample, p.at) + channel, count);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sums[j] *= scale;
  }
};

}  // namespace brume::cuda
