// Complex products mode by mode: modes along the lanes, a block of results in registers.

#include <brume/core/cpu/isa/lanes.h>
#include <brume/core/cpu/isa/modes.h>

#include <utility>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;

template <class V>
struct ComplexLanes {
  V re, im;
};

template <class V>
using LaneNumbers = std::make_integer_sequence<int, V::kLanes>;

// Real and imaginary parts out of two vectors in which they take turns, and back.
template <class V, int... k>
ComplexLanes<V> parted(V a, V b, std::integer_sequence<int, k...>) {
  return {V(__builtin_shufflevector(a.v, b.v, 2 * k...)),
          V(__builtin_shufflevector(a.v, b.v, (2 * k + 1)...))};
}
template <class V, int... k>
void weave(ComplexLanes<V> z, V& a, V& b, std::integer_sequence<int, k...>) {
  constexpr int kN = V::kLanes;
  a = V(__builtin_shufflevector(z.re.v, z.im.v, (k / 2 + k % 2 * kN)...));
  b = V(__builtin_shufflevector(z.re.v, z.im.v, (k / 2 + kN / 2 + k % 2 * kN)...));
}

template <class V, class T>
ComplexLanes<V> load_pairs(const T* from, const Whole<V>&) {
  return parted(V::load(from), V::load(from + V::kLanes), LaneNumbers<V>{});
}
template <class V, class T>
ComplexLanes<V> load_pairs(const T* from, const Part<V>& lanes) {
  T pairs[2 * V::kLanes] = {};
  __builtin_memcpy(pairs, from, sizeof(T) * 2 * static_cast<unsigned>(lanes.n));
  return load_pairs(pairs, Whole<V>{});
}
template <class V, class T>
void store_pairs(ComplexLanes<V> z, T* to, const Whole<V>&) {
  V a, b;
  weave(z, a, b, LaneNumbers<V>{});
  a.store(to);
  b.store(to + V::kLanes);
}
template <class V, class T>
void store_pairs(ComplexLanes<V> z, T* to, const Part<V>& lanes) {
  T pairs[2 * V::kLanes];
  store_pairs(z, pairs, Whole<V>{});
  __builtin_memcpy(to, pairs, sizeof(T) * 2 * static_cast<unsigned>(lanes.n));
}

// kN rows and kO columns of y from (n, o) on, one vector of modes.
template <int kN, int kO, class V, class T, class Lanes>
void block(const ModeProduct<T>& p, int64_t n, int64_t o, int64_t mode, const Lanes& lanes) {
  ComplexLanes<V> y[kN][kO];
  for (auto& row : y)
    for (auto& z : row) z = {V(T(0)), V(T(0))};
  const V sign(p.conjugate_w ? T(-1) : T(1));
  const T *x = p.x.at(n, 0) + mode, *w = p.w.at(0, o) + mode * (p.w.part == 1 ? 2 : 1);
  for (int64_t i = 0; i < p.in; ++i, x += p.x.column, w += p.w.row) {
    ComplexLanes<V> b[kO];
#pragma GCC unroll 4
    for (int k = 0; k < kO; ++k) {
      const T* from = w + k * p.w.column;
      b[k] = p.w.part == 1 ? load_pairs(from, lanes)
                           : ComplexLanes<V>{lanes.load(from), lanes.load(from + p.w.part)};
      b[k].im = b[k].im * sign;
    }
#pragma GCC unroll 4
    for (int j = 0; j < kN; ++j) {
      const T* from = x + j * p.x.row;
      const V re = lanes.load(from), im = lanes.load(from + p.x.part);
#pragma GCC unroll 4
      for (int k = 0; k < kO; ++k) {
        y[j][k].re = fma(re, b[k].re, y[j][k].re);
        y[j][k].im = fma(re, b[k].im, y[j][k].im);
        y[j][k].re = fma(-im, b[k].im, y[j][k].re);
        y[j][k].im = fma(im, b[k].re, y[j][k].im);
      }
    }
  }
  for (int j = 0; j < kN; ++j)
    for (int k = 0; k < kO; ++k) {
      ComplexLanes<V> z = y[j][k];
      if (p.conjugate_y) z.im = -z.im;
      T* to = p.y.at(n + j, o + k);
      if (p.y.part == 1) {
        store_pairs(z, to + 2 * mode, lanes);
      } else {
        lanes.store(z.re, to + mode);
        lanes.store(z.im, to + p.y.part + mode);
      }
    }
}

template <int kO, class V, class T, class Lanes>
void rows(const ModeProduct<T>& p, int64_t o, int64_t mode, const Lanes& lanes) {
  constexpr int kN = V::kLanes * sizeof(T) == 64 ? 4 : 2;  // as many as registers hold
  int64_t n = 0;
  for (; n + kN <= p.samples; n += kN) block<kN, kO, V>(p, n, o, mode, lanes);
  for (; n < p.samples; ++n) block<1, kO, V>(p, n, o, mode, lanes);
}

template <class T>
void columns(const ModeProduct<T>& p, int64_t begin, int64_t end) {
  using V = Wide<T>;
  for_vectors<V>(p.modes, [&](int64_t mode, const auto& lanes) {
    int64_t o = begin;
    for (; o + 2 <= end; o += 2) rows<2, V>(p, o, mode, lanes);
    if (o < end) rows<1, V>(p, o, mode, lanes);
  });
}

}  // namespace

extern const ModeLoops<float> mode_loops = {columns<float>};
#if BRUME_VECTOR_BYTES == 16
extern const ModeLoops<double> mode_loops_f64 = {columns<double>};
#endif

}  // namespace brume::cpu::BRUME_ISA
