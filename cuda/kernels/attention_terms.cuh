#pragma once
// What the kernels of attention read, by strides.

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include <brume/core/kernels/attention.h>

#include <brume/cuda/device/element.cuh>
#include <brume/cuda/device/math.cuh>

namespace brume::cuda {

/// [B, heads, rows, columns] by strides.
template <class T>
struct Heads {
  T* data = nullptr;
  int64_t batch = 0, head = 0, row = 0, column = 0;

  Heads() = default;
  explicit Heads(const View& v) : data(v.as<T>()) {
    if (!v) return;
    batch = v.stride(0);
    head = v.stride(1);
    row = v.stride(2);
    column = v.stride(3);
  }
  __device__ Heads of(int64_t b, int64_t h) const {
    Heads one = *this;
    if (data) one.data += b * batch + h * head;
    return one;
  }
  __device__ T& at(int64_t r, int64_t c) const { return data[r * row + c * column]; }
};

template <class T>
struct AttentionTerms {
  Heads<T> q, k, v;
  const void* mask;
  DType mask_dtype;
  int64_t mask_stride[4];
  int heads, queries, keys, width, value_width;
  bool causal;
  Wide<T> scale;

  AttentionTerms(const AttentionOperands& x, const AttentionParams& p)
      : q(x.q),
        k(x.k),
        v(x.v),
        mask(x.mask.data),
        mask_dtype(x.mask.dtype),
        mask_stride{},
        heads(static_cast<int>(x.q.size(1))),
        queries(static_cast<int>(x.q.size(2))),
        keys(static_cast<int>(x.k.size(2))),
        width(static_cast<int>(x.q.size(3))),
        value_width(static_cast<int>(x.v.size(3))),
        causal(p.causal),
        scale(static_cast<Wide<T>>(p.scale)) {
    for (int i = 0; x.mask && i < 4; ++i) mask_stride[i] = x.mask.stride(i);
  }

  /// The score of a product q k, -inf where the key is hidden or beyond the end.
  __device__ Wide<T> score(int64_t b, int64_t h, int query, int key, Wide<T> product) const {
    const auto hidden = static_cast<Wide<T>>(-INFINITY);
    if (query >= queries || key >= keys || (causal && key > query)) return hidden;
    const Wide<T> s = product * scale;
    if (!mask) return s;
    const int64_t at =
        b * mask_stride[0] + h * mask_stride[1] + query * mask_stride[2] + key * mask_stride[3];
    if (mask_dtype == DType::boolean) return static_cast<const bool*>(mask)[at] ? s : hidden;
    return s + load_as<Wide<T>>(mask, dtype_of<T>, at);
  }
};

}  // namespace brume::cuda
