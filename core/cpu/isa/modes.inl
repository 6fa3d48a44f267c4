// Complex products mode by mode: modes along the lanes, a block of results in registers. Transforms
// that keep few frequencies: columns along the lanes.

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

// Rows of sums in registers, each of cosines and of sines for two streams.
#if BRUME_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kMostRows = 6;
#else
constexpr int kMostRows = 2;
#endif

// What the waves multiply for kS streams: two neighbouring vectors of columns, or two parts.
template <int kS, class V>
struct Folded {
  V even[kS], odd[kS];
};

// Sums over k of kRows rows of waves.
template <int kRows, int kS, class V, class T, class Read, class Write>
void sum_waves(const T* waves, int64_t rows, int64_t sums, int64_t row, Read&& read,
               Write&& write) {
  Folded<kS, V> y[kRows];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int s = 0; s < kS; ++s) y[r].even[s] = y[r].odd[s] = V(T(0));
  const T* wave = waves + row;
  for (int64_t k = 0; k < sums; ++k, wave += 2 * rows) {
    const Folded<kS, V> x = read(k);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const V cosine(wave[r]), sine(wave[rows + r]);
#pragma GCC unroll 2
      for (int s = 0; s < kS; ++s) {
        y[r].even[s] = fma(cosine, x.even[s], y[r].even[s]);
        y[r].odd[s] = fma(sine, x.odd[s], y[r].odd[s]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) write(row + r, y[r]);
}

template <int kRows, int kS, class V, class T, class Read, class Write>
void sum_rows(int64_t count, const T* waves, int64_t rows, int64_t sums, int64_t row, Read& read,
              Write& write) {
  if (count == kRows) return sum_waves<kRows, kS, V>(waves, rows, sums, row, read, write);
  if constexpr (kRows > 1) sum_rows<kRows - 1, kS, V>(count, waves, rows, sums, row, read, write);
}

// All rows, in blocks of nearly equal height.
template <int kS, class V, class T, class Read, class Write>
void sum_all(const T* waves, int64_t rows, int64_t sums, Read&& read, Write&& write) {
  const int64_t blocks = (rows + kMostRows - 1) / kMostRows;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t row = rows * b / blocks, count = rows * (b + 1) / blocks - row;
    sum_rows<kMostRows, kS, V>(count, waves, rows, sums, row, read, write);
  }
}

// kS streams of columns at x and y, `lanes` of the last vector.
template <bool kToModes, bool kComplex, int kS, class V, class T, class Lanes>
void low_modes(const LowModes<T>& p, const T* from, T* to, const Lanes& lanes) {
  const int64_t stream = kComplex ? p.part : V::kLanes;
  const int64_t mode_stream = kComplex ? p.mode_part : V::kLanes;
  // Frequencies f and -f where both are kept.
  const auto above = [&](int64_t f) { return f < p.modes ? f * p.mode : int64_t{-1}; };
  const auto below = [&](int64_t f) { return f > 0 ? (2 * p.modes - f) * p.mode : int64_t{-1}; };
  const auto mirror = [&](int64_t j) { return j > 0 ? p.n - j : 0; };
  using Pair = Folded<kS, V>;
  if constexpr (kToModes) {
    const auto fold = [&](int64_t j) {
      Pair x;
#pragma GCC unroll 2
      for (int s = 0; s < kS; ++s) {
        const V a = lanes.load(from + s * stream + j * p.place);
        const V b = lanes.load(from + s * stream + mirror(j) * p.place);
        x.even[s] = a + b;
        x.odd[s] = a - b;
      }
      return x;
    };
    sum_all<kS, V>(p.waves, p.rows(), p.folded(), fold, [&](int64_t f, const Pair& y) {
      if constexpr (kComplex) {
        if (const int64_t at = above(f); at >= 0) {
          lanes.store(y.even[0] - y.odd[1], to + at);
          lanes.store(y.even[1] + y.odd[0], to + at + mode_stream);
        }
        if (const int64_t at = below(f); at >= 0) {
          lanes.store(y.even[0] + y.odd[1], to + at);
          lanes.store(y.even[1] - y.odd[0], to + at + mode_stream);
        }
      } else {
#pragma GCC unroll 2
        for (int s = 0; s < kS; ++s) {
          lanes.store(y.even[s], to + f * p.mode + s * mode_stream);
          lanes.store(y.odd[s], to + f * p.mode + p.mode_part + s * mode_stream);
        }
      }
    });
  } else {
    const auto pair = [&](int64_t f) {
      Pair x;
      if constexpr (kComplex) {
        const V zero(T(0));
        const int64_t up = above(f), down = below(f);
        const V re = up < 0 ? zero : lanes.load(from + up);
        const V im = up < 0 ? zero : lanes.load(from + up + mode_stream);
        const V re2 = down < 0 ? zero : lanes.load(from + down);
        const V im2 = down < 0 ? zero : lanes.load(from + down + mode_stream);
        x = {{re + re2, im + im2}, {im - im2, re2 - re}};
      } else {
#pragma GCC unroll 2
        for (int s = 0; s < kS; ++s) {
          x.even[s] = lanes.load(from + f * p.mode + s * mode_stream);
          x.odd[s] = lanes.load(from + f * p.mode + p.mode_part + s * mode_stream);
        }
      }
      return x;
    };
    sum_all<kS, V>(p.waves, p.folded(), p.rows(), pair, [&](int64_t j, const Pair& y) {
#pragma GCC unroll 2
      for (int s = 0; s < kS; ++s) {
        lanes.store(y.even[s] + y.odd[s], to + s * stream + j * p.place);
        if (mirror(j) != j)
          lanes.store(y.even[s] - y.odd[s], to + s * stream + mirror(j) * p.place);
      }
    });
  }
}

template <bool kToModes, class T>
void low_modes_of(const LowModes<T>& p, int64_t columns, const T* from, T* to) {
  using V = Wide<T>;
  if (p.is_complex)
    for_vectors<V>(columns, [&](int64_t i, const auto& lanes) {
      low_modes<kToModes, true, 2, V>(p, from + i, to + i, lanes);
    });
  else
    for_groups<V, 2>(columns, [&](int64_t i, auto group, const auto& lanes) {
      low_modes<kToModes, false, decltype(group)::kVectors, V>(p, from + i, to + i, lanes);
    });
}

template <class T>
constexpr ModeLoops<T> table() {
  return {.columns = columns<T>,
          .to_modes = low_modes_of<true, T>,
          .from_modes = low_modes_of<false, T>};
}

}  // namespace

extern const ModeLoops<float> mode_loops = table<float>();
#if BRUME_VECTOR_BYTES == 16
extern const ModeLoops<double> mode_loops_f64 = table<double>();
#endif

}  // namespace brume::cpu::BRUME_ISA
