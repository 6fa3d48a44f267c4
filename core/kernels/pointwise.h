#pragma once
// Family pointwise: one functor applied element by element, its gradients, and copies.

#include <brume/core/kernels/kernel.h>

namespace brume {

inline constexpr int kMaxOperands = 4;

/// Loops over contiguous blocks of one element type that lie in L1; `functor` points at the
/// functor's constants. Buffers never alias, except that `y` may be one of `x`.
template <class T>
struct PointwiseBlocks {
  /// y[i] = f(x[0][i], ...)
  void (*forward)(const void* functor, int64_t n, T* y, const T* const* x) = nullptr;
  /// gx[k][i] = g[i] * df/dx_k
  void (*backward)(const void* functor, int64_t n, const T* g, const T* const* x,
                   T* const* gx) = nullptr;
  /// The gradient of `backward` for cotangents h[k] of its gx[k]:
  /// gg[i] = sum_k h[k] df/dx_k;  gx[j][i] = g sum_k h[k] d2f/dx_k dx_j
  void (*backward2)(const void* functor, int64_t n, const T* g, const T* const* x,
                    const T* const* h, T* gg, T* const* gx) = nullptr;
};

/// A functor, type-erased. `id` is its place in AllPointwiseFns, where a backend finds its own
/// code; -1 for a user's functor, which brings loops for the CPU.
struct PointwiseFn {
  const char* name = nullptr;
  int id = -1;
  int arity = 1;
  const void* functor = nullptr;
  size_t functor_bytes = 0;
  const PointwiseBlocks<float>* f32 = nullptr;
  const PointwiseBlocks<double>* f64 = nullptr;
};

struct PointwiseKernels {
  // x[k]: `arity` operands broadcast to y.shape by stride 0. Floating operands share the dtype
  // that the formula is computed in (bf16, f16 in f32); boolean and integer ones are converted to
  // it (i64 exactly up to 2^53 in f64); y may have any dtype.
  Kernel<"pointwise", void(const PointwiseFn& fn, const View* x, const View& y)> forward{};
  // g and every gx[k]: shape of the result; an absent gx[k] is not wanted.
  Kernel<"pointwise_backward",
         void(const PointwiseFn& fn, const View& g, const View* x, const View* gx)>
      backward{};
  // h[k] absent = zero. gg, gx[k] absent = not wanted.
  Kernel<"pointwise_backward2", void(const PointwiseFn& fn, const View& g, const View* x,
                                     const View* h, const View& gg, const View* gx)>
      backward2{};
  // y = x converted to y.dtype; same shape, any strides.
  Kernel<"copy", void(const View& x, const View& y)> copy{};
  Kernel<"fill", void(double value, const View& y)> fill{};
};

}  // namespace brume
