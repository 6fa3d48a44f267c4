#pragma once
// Family pointwise: one functor applied element by element, its gradients, and copies.

#include <brume/core/kernels/kernel.h>
#include <brume/core/kernels/pointwise_blocks.h>

namespace brume {

inline constexpr int kMaxOperands = 4;
inline constexpr size_t kMaxFunctorBytes = 64;

/// A functor, type-erased. `id` is its place in AllPointwiseFns, where a backend finds its own
/// code; -1 for a user's functor, which brings loops for the CPU.
struct PointwiseFn {
  const char* name = nullptr;
  int id = -1;
  int arity = 1;
  bool predicate = false;       // gives bool
  bool takes_integers = false;  // gives integers from integers
  unsigned unit_partials = 0;   // bit k: the derivative along x[k] is exactly 1
  // By operand: which operands the derivative along it depends on.
  unsigned char needs[kMaxOperands] = {};
  const void* functor = nullptr;
  size_t functor_bytes = 0;
  const PointwiseBlocks<float>* f32 = nullptr;
  const PointwiseBlocks<double>* f64 = nullptr;
};

/// Whether f32 holds every value of the dtype. Copies between two such go through f32, others
/// through f64.
constexpr bool fits_f32(DType t) { return item_size(t) < 4 || t == DType::f32; }

/// Whether a formula over these operands is computed in f64; otherwise it is in f32.
inline bool computes_in_f64(const View* x, int arity) {
  for (int k = 0; k < arity; ++k)
    if (!fits_f32(x[k].dtype)) return true;
  return false;
}

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
