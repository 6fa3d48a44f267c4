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

}  // namespace brume::math::inline BRUME_ISA
