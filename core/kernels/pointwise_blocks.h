#pragma once
// What a pointwise function brings for the CPU. Included by files that are compiled per instruction
// set, so there is nothing but data here.

#include <cstdint>

namespace brume {

/// Loops over contiguous blocks of one element type that lie in L1; `functor` points at the
/// functor's constants. n is a multiple of kBlockStep. Buffers never alias, except that `y` may be
/// one of `x`. All pointers are valid; what is not wanted goes to a buffer that nobody reads.
template <class T>
struct PointwiseBlocks {
  /// y[i] = f(x[0][i], ...); 1 or 0 for a predicate.
  void (*forward)(const void* functor, int64_t n, T* y, const T* const* x) = nullptr;
  /// gx[k][i] = g[i] * df/dx_k
  void (*backward)(const void* functor, int64_t n, const T* g, const T* const* x,
                   T* const* gx) = nullptr;
  /// The gradient of `backward` for cotangents h[k] of its gx[k]:
  /// gg[i] = sum_k h[k] df/dx_k;  gx[j][i] = g sum_k h[k] d2f/dx_k dx_j
  void (*backward2)(const void* functor, int64_t n, const T* g, const T* const* x,
                    const T* const* h, T* gg, T* const* gx) = nullptr;
};
/// As many elements as the widest vector has: a tail is padded to it, and so runs through the same
/// code as the rest.
inline constexpr int64_t kBlockStep = 16;

}  // namespace brume
