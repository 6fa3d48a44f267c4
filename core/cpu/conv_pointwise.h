#pragma once
// Convolutions whose kernel is one entry: products of pixels and channels, [pixels, Ci] [Ci, Co].

#include <brume/core/cpu/conv_driver.h>

namespace brume::cpu {

/// One kernel entry, stride 1, no padding, one group.
bool is_pointwise(const ConvShape& s);

/// Whether a sample's pixels, channels apart, stand at one distance from each other.
template <class T>
bool evenly_spaced(const ConvShape& s, const Image<T>& x) {
  return (s.out[1] == 1 || x.space[1] == s.out[2] * x.space[2]) &&
         (s.out[0] == 1 || x.space[0] == s.out[1] * s.out[2] * x.space[2]);
}

/// Whether, besides, each sample's pixels follow those of the sample before.
template <class T>
bool samples_continue(const ConvShape& s, const Image<T>& x) {
  return s.batch == 1 || x.batch == s.pixels() * x.space[2];
}

// As direct_forward and its siblings, for is_pointwise() shapes and evenly spaced images.
template <class T>
void pointwise_forward(const ConvShape& s, const Image<const T>& x, const Filter<T>& w,
                       const ConvTerms<T>& terms, const Image<T>& y);
template <class T>
void pointwise_input_gradient(const ConvShape& s, const Image<const T>& gy, const Filter<T>& w,
                              const ConvTerms<T>& terms, const Image<T>& gx);
/// Both images' samples must continue.
template <class T>
void pointwise_weight_gradient(const ConvShape& s, const Image<const T>& x,
                               const Image<const T>& gy, T* gw);

}  // namespace brume::cpu
