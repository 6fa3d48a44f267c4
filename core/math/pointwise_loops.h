#pragma once
// The loops that are instantiated per functor: value, gradient, gradient of the gradient, each over
// a block. Everything else about a pointwise operation is ordinary code (core/cpu/pointwise.cpp).

#include <utility>

#include <brume/core/kernels/pointwise_blocks.h>
#include <brume/core/math/pointwise_list.h>

namespace brume::math::inline BRUME_ISA {

template <int N>
using Operands = std::make_integer_sequence<int, N>;

/// The first derivatives of f at x: its own, or by dual numbers.
template <class F, class V, int... K>
BRUME_HD auto partials(const F& f, const V* x, std::integer_sequence<int, K...>) {
  constexpr int N = sizeof...(K);
  if constexpr (requires { f.df(x[K]...); }) {
    return f.df(x[K]...);
  } else {
    Dual<V, N> at[N];
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) {
      at[i] = Dual<V, N>(x[i]);
      at[i].d[i] = V(1);
    }
    const Dual<V, N> y = f(at[K]...);
    return Partials<V, N>{{y.d[K]...}};
  }
}

template <class F, class V, int N>
struct Loops {
  using T = typename V::Element;

  static void forward(const void* functor, int64_t n, T* y, const T* const* x) {
    forward_of(*static_cast<const F*>(functor), n, y, x, Operands<N>{});
  }
  static void backward(const void* functor, int64_t n, const T* g, const T* const* x,
                       T* const* gx) {
    backward_of(*static_cast<const F*>(functor), n, g, x, gx, Operands<N>{});
  }
  static void backward2(const void* functor, int64_t n, const T* g, const T* const* x,
                        const T* const* h, T* gg, T* const* gx) {
    backward2_of(*static_cast<const F*>(functor), n, g, x, h, gg, gx, Operands<N>{});
  }

  template <int... K>
  static constexpr bool is_predicate_of(std::integer_sequence<int, K...>) {
    return !__is_same(decltype(std::declval<const F&>()((K, std::declval<V>())...)), V);
  }
  static constexpr bool kPredicate = is_predicate_of(Operands<N>{});

 private:
  // The functor and the pointers are copied to where no store can change them.
  template <int... K>
  static void forward_of(const F f, int64_t n, T* y, const T* const* x,
                         std::integer_sequence<int, K...>) {
    const T* const in[] = {x[K]...};
    for (int64_t i = 0; i < n; i += V::kLanes) {
      if constexpr (kPredicate)
        select(f(V::load(in[K] + i)...), V(1), V(0)).store(y + i);
      else
        f(V::load(in[K] + i)...).store(y + i);
    }
  }
  template <int... K>
  static void backward_of(const F f, int64_t n, const T* g, const T* const* x, T* const* gx,
                          std::integer_sequence<int, K...> operands) {
    const T* const in[] = {x[K]...};
    T* const out[] = {gx[K]...};
    for (int64_t i = 0; i < n; i += V::kLanes) {
      const V at[] = {V::load(in[K] + i)...}, gi = V::load(g + i);
      const auto p = partials(f, at, operands);
      ((gi * p.d[K]).store(out[K] + i), ...);
    }
  }
  template <int... K>
  static void backward2_of(const F f, int64_t n, const T* g, const T* const* x, const T* const* h,
                           T* gg, T* const* gx, std::integer_sequence<int, K...> operands) {
    const T *const in[] = {x[K]...}, *const along[] = {h[K]...};
    T* const out[] = {gx[K]...};
    for (int64_t i = 0; i < n; i += V::kLanes) {
      // The first derivatives and, in direction h, their derivatives, which are the second ones
      // times h.
      using D = Dual<V, 1>;
      D at[N];
      ((at[K].v = V::load(in[K] + i), at[K].d[0] = V::load(along[K] + i)), ...);
      const auto p = partials(f, at, operands);
      ((at[K].d[0] * p.d[K].v) + ...).store(gg + i);
      const V gi = V::load(g + i);
      ((gi * p.d[K].d[0]).store(out[K] + i), ...);
    }
  }
};

/// Which of the loops a table holds; a predicate has no derivatives.
struct LoopKinds {
  bool forward = false, backward = false, backward2 = false;
};
template <class F, class V, int N, LoopKinds kWanted>
constexpr PointwiseBlocks<typename V::Element> blocks() {
  using L = Loops<F, V, N>;
  PointwiseBlocks<typename V::Element> table;
  if constexpr (kWanted.forward) table.forward = L::forward;
  if constexpr (kWanted.backward && !L::kPredicate) table.backward = L::backward;
  if constexpr (kWanted.backward2 && !L::kPredicate) table.backward2 = L::backward2;
  return table;
}

/// The loops of every function in AllPointwiseFns, by its place there.
template <class V, LoopKinds kWanted, class List = AllPointwiseFns>
struct BlocksOfAll;
template <class V, LoopKinds kWanted, class... F>
struct BlocksOfAll<V, kWanted, FnList<F...>> {
  static constexpr PointwiseBlocks<typename V::Element> table[] = {
      blocks<F, V, arity_of<F, V>(), kWanted>()...};
};

}  // namespace brume::math::inline BRUME_ISA
