#include <brume/core/kernels/pointwise.h>

#include <algorithm>

#include <brume/core/cpu/copy.h>
#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/element_walk.h>
#include <brume/core/cpu/isa.h>
#include <brume/core/cpu/pointwise_tables.h>

namespace brume::cpu {

BRUME_ISA_TABLE(PointwiseTable, pointwise_table)

namespace {

// A functor with its operands, on the way through walk_blocks.
template <class T>
struct Call {
  const PointwiseFn& fn;
  decltype(PointwiseBlocks<T>::forward) forward;
  decltype(PointwiseBlocks<T>::backward) backward;
  decltype(PointwiseBlocks<T>::backward2) backward2;
};

// The loops of fn: the user's own, or this library's, of which the second derivatives and f64 are
// portable.
template <class T>
Call<T> call(const PointwiseFn& fn) {
  if constexpr (std::is_same_v<T, float>) {
    if (fn.id < 0) return {fn, fn.f32->forward, fn.f32->backward, fn.f32->backward2};
    const auto& blocks = pointwise_table().functions[fn.id];
    return {fn, blocks.forward, blocks.backward, pointwise_second_f32[fn.id].backward2};
  } else {
    const auto& blocks = fn.id < 0 ? *fn.f64 : pointwise_f64[fn.id];
    return {fn, blocks.forward, blocks.backward, blocks.backward2};
  }
}

template <class T>
void forward_as(const PointwiseFn& fn, const View* x, const View& y) {
  const View* views[kMaxOperands + 1];
  for (int k = 0; k < fn.arity; ++k) views[k] = &x[k];
  views[fn.arity] = &y;
  const Call<T> context = call<T>(fn);
  walk_blocks<T>(
      std::span(views, static_cast<size_t>(fn.arity + 1)), 1, y,
      [](const void* c, int64_t n, T* const* p) {
        const auto& [f, forward, backward, backward2] = *static_cast<const Call<T>*>(c);
        forward(f.functor, n, p[f.arity], p);
      },
      &context);
}

template <class T>
void backward_as(const PointwiseFn& fn, const View& g, const View* x, const View* gx) {
  const int arity = fn.arity;
  const View* views[2 * kMaxOperands + 1];
  const View* order = nullptr;
  views[0] = &g;
  for (int k = 0; k < arity; ++k) {
    views[1 + k] = &x[k];
    views[1 + arity + k] = &gx[k];
    if (!order && gx[k]) order = &gx[k];
  }
  if (!order) return;
  const Call<T> context = call<T>(fn);
  walk_blocks<T>(
      std::span(views, static_cast<size_t>(2 * arity + 1)), arity, *order,
      [](const void* c, int64_t n, T* const* p) {
        const auto& [f, forward, backward, backward2] = *static_cast<const Call<T>*>(c);
        backward(f.functor, n, p[0], p + 1, p + 1 + f.arity);
      },
      &context);
}

template <class T>
void backward2_as(const PointwiseFn& fn, const View& g, const View* x, const View* h,
                  const View& gg, const View* gx) {
  const int arity = fn.arity;
  const View* views[3 * kMaxOperands + 2];
  const View* order = gg ? &gg : nullptr;
  views[0] = &g;
  views[2 * arity + 1] = &gg;
  for (int k = 0; k < arity; ++k) {
    views[1 + k] = &x[k];
    views[1 + arity + k] = &h[k];
    views[2 + 2 * arity + k] = &gx[k];
    if (!order && gx[k]) order = &gx[k];
  }
  if (!order) return;
  const Call<T> context = call<T>(fn);
  walk_blocks<T>(
      std::span(views, static_cast<size_t>(3 * arity + 2)), arity + 1, *order,
      [](const void* c, int64_t n, T* const* p) {
        const auto& [f, forward, backward, backward2] = *static_cast<const Call<T>*>(c);
        const int a = f.arity;
        backward2(f.functor, n, p[0], p + 1, p + 1 + a, p[2 * a + 1], p + 2 * a + 2);
      },
      &context);
}

void forward(const PointwiseFn& fn, const View* x, const View& y) {
  computes_in_f64(x, fn.arity) ? forward_as<double>(fn, x, y) : forward_as<float>(fn, x, y);
}
void backward(const PointwiseFn& fn, const View& g, const View* x, const View* gx) {
  computes_in_f64(x, fn.arity) ? backward_as<double>(fn, g, x, gx)
                               : backward_as<float>(fn, g, x, gx);
}
void backward2(const PointwiseFn& fn, const View& g, const View* x, const View* h, const View& gg,
               const View* gx) {
  computes_in_f64(x, fn.arity) ? backward2_as<double>(fn, g, x, h, gg, gx)
                               : backward2_as<float>(fn, g, x, h, gg, gx);
}

}  // namespace
}  // namespace brume::cpu

namespace brume {

const PointwiseKernels cpu_pointwise{.forward = cpu::forward,
                                     .backward = cpu::backward,
                                     .backward2 = cpu::backward2,
                                     .copy = cpu::copy,
                                     .fill = cpu::fill};

}  // namespace brume
