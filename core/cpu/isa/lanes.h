#pragma once
// Walking an array in vectors, where the last, partly filled one passes through the same code as
// the others: an element's bits do not depend on where it stands.

#include <brume/core/cpu/simd.h>

namespace brume::math::inline BRUME_ISA {

template <class V>
struct Whole {
  using T = typename V::Element;
  static BRUME_HD V load(const T* from) { return V::load(from); }
  static BRUME_HD void store(V x, T* to) { x.store(to); }
  /// Lanes behind the array replaced.
  static BRUME_HD V keep(V x, V) { return x; }
};

template <class V>
struct Part {
  using T = typename V::Element;
  int n;
  BRUME_HD V load(const T* from) const { return V::load_padded(from, n); }
  BRUME_HD void store(V x, T* to) const { x.store_padded(to, n); }
  BRUME_HD V keep(V x, V behind) const {
    T lanes[V::kLanes];
    behind.store(lanes);
    x.store_padded(lanes, n);
    return V::load(lanes);
  }
};

/// f(i, lanes) for each vector of [0, n), `lanes` being Whole or Part.
template <class V, class F>
BRUME_HD void for_vectors(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f(i, Whole<V>{});
  if (i < n) f(i, Part<V>{static_cast<int>(n - i)});
}

/// How many whole vectors stand side by side.
template <int kN>
struct Group {
  static constexpr int kVectors = kN;
};

/// f(i, group, lanes) for each kN vectors of [0, n), then for the rest one by one.
template <class V, int kN, class F>
BRUME_HD void for_groups(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + kN * V::kLanes <= n; i += kN * V::kLanes) f(i, Group<kN>{}, Whole<V>{});
  for (; i + V::kLanes <= n; i += V::kLanes) f(i, Group<1>{}, Whole<V>{});
  if (i < n) f(i, Group<1>{}, Part<V>{static_cast<int>(n - i)});
}

/// sum = f(sum, i, lanes) from vector to vector of [0, n), in four sums side by side, since one
/// would wait for itself; they are joined in pairs.
template <class V, class Sum, class F, class Join>
BRUME_HD Sum accumulate(int64_t n, Sum start, F&& f, Join&& join) {
  Sum sums[4] = {start, start, start, start};
  for_groups<V, 4>(n, [&](int64_t i, auto group, auto lanes) {
    BRUME_UNROLL
    for (int k = 0; k < decltype(group)::kVectors; ++k)
      sums[k] = f(sums[k], i + k * V::kLanes, lanes);
  });
  return join(join(sums[0], sums[1]), join(sums[2], sums[3]));
}
inline constexpr auto plus = [](auto a, auto b) { return a + b; };
inline constexpr auto larger = [](auto a, auto b) { return max(a, b); };

}  // namespace brume::math::inline BRUME_ISA
