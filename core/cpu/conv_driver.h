#pragma once
// Convolutions as the CPU computes them: every rank is read as three dimensions, channels fastest.

#include <cstdint>

namespace brume::cpu {

struct ConvShape {
  int64_t batch, groups;
  int64_t ci, co;  // channels of one group
  int64_t in[3], out[3], kernel[3];
  int64_t stride[3], padding[3], dilation[3];
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t pixels() const { return out[0] * out[1] * out[2]; }  // of one result
};

/// [batch, d, h, w, channels], channels adjacent.
template <class T>
struct Image {
  T* data;
  int64_t batch, space[3];  // strides
  T* at(int64_t b, int64_t d, int64_t h, int64_t w) const {
    return data + b * batch + d * space[0] + h * space[1] + w * space[2];
  }
};

/// [groups, co, ci, kd, kh, kw] with any strides.
template <class T>
struct Filter {
  const T* data;
  int64_t group, co, ci, space[3];  // strides
};

/// What is done to a finished element; null = absent.
template <class T>
struct ConvTerms {
  const T* bias;        // [channels]
  const T* per_sample;  // [batch, channels]
  int64_t per_sample_row;
  Image<const T> residual;
  T scale;
};

/// bias + per_sample of `count` channels: written to `out` if there is a per_sample, otherwise the
/// bias where it lies, or null.
template <class T>
const T* shift_of(const ConvTerms<T>& terms, int64_t sample, int64_t channel, int64_t count,
                  T* out) {
  const T* bias = terms.bias ? terms.bias + channel : nullptr;
  if (!terms.per_sample) return bias;
  const T* add = terms.per_sample + sample * terms.per_sample_row + channel;
  for (int64_t k = 0; k < count; ++k) out[k] = bias ? bias[k] + add[k] : add[k];
  return out;
}

/// y = (x * w + terms) * scale
template <class T>
void direct_forward(const ConvShape& s, const Image<const T>& x, const Filter<T>& w,
                    const ConvTerms<T>& terms, const Image<T>& y);
/// The adjoint, gx from gy.
template <class T>
void direct_input_gradient(const ConvShape& s, const Image<const T>& gy, const Filter<T>& w,
                           const ConvTerms<T>& terms, const Image<T>& gx);
/// gw [groups * co, ci, kd, kh, kw], row-major.
template <class T>
void direct_weight_gradient(const ConvShape& s, const Image<const T>& x, const Image<const T>& gy,
                            T* gw);
/// The same where every group has one channel on both sides.
template <class T>
void depthwise_weight_gradient(const ConvShape& s, const Image<const T>& x,
                               const Image<const T>& gy, T* gw);

}  // namespace brume::cpu
