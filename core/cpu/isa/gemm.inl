// Tile kernels of the blocked product, compiled once per instruction set.

#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/simd.h>

namespace brume::cpu::BRUME_ISA {
namespace {

template <class T>
using Vector = math::Wide<T>;
template <class T>
constexpr int kLanes = Vector<T>::kLanes;

// Registers decide the tile: accumulators of kTileRows x 2 vectors, two vectors of b, one number of
// a. 14 x 2 and 6 x 2 reach 93 to 99 % of the multiply-add peak from L1.
#if BRUME_VECTOR_BYTES == 64
constexpr int kRegisters = 32, kTileRows = 14;
#elif defined(__aarch64__)
constexpr int kRegisters = 32, kTileRows = 12;
#else
constexpr int kRegisters = 16, kTileRows = 6;
#endif

// Vectors side by side in a tile of m rows: few rows take more, or the adder's latency shows.
constexpr int most_vectors(int m) {
  if (m == 1) return 8;
  int v = 2;
  while (v < 8 && m * 2 * v + 2 * v + 1 <= kRegisters) v *= 2;
  return v;
}

// Where a tile stands: pointers to its first elements, the columns that exist.
template <class T>
struct Place {
  const T *a, *b;
  T* c;
  int64_t columns;
  const T *bias, *residual;
};

// A finished tile in `sums` [m][stride] goes to c.
template <class T>
void finish_tile(const Product<T>& p, const Place<T>& at, int64_t m, const T* sums,
                 int64_t stride) {
  constexpr int kW = kLanes<T>;
  const Epilogue<T>* e = p.epilogue;
  for (int64_t i = 0; i < m; ++i, sums += stride) {
    T* c = at.c + i * p.c_row;
    const T* residual = at.residual ? at.residual + i * e->residual_row : nullptr;
    int64_t j = 0;
    for (; j + kW <= at.columns; j += kW) {
      auto v = Vector<T>::load(sums + j);
      if (p.accumulate) v = v + Vector<T>::load(c + j);
      if (at.bias) v = v + Vector<T>::load(at.bias + j);
      if (residual) v = v + Vector<T>::load(residual + j);
      if (e) v = v * Vector<T>(e->scale);
      v.store(c + j);
    }
    for (; j < at.columns; ++j) {
      T v = sums[j];
      if (p.accumulate) v += c[j];
      if (at.bias) v += at.bias[j];
      if (residual) v += residual[j];
      if (e) v *= e->scale;
      c[j] = v;
    }
  }
}

constexpr int64_t kTurn = 16;

// Asks for regions of memory, a part each turn: bursts would fill the queue of outstanding lines.
template <class T>
class Fetch {
 public:
  Fetch(const Ahead<T> (&ahead)[2], int64_t turns) {
    for (int r = 0; r < 2; ++r) {
      const bool dense = ahead[r].row == ahead[r].length;
      const int64_t rows = dense ? 1 : ahead[r].rows;
      const int64_t length = dense ? ahead[r].rows * ahead[r].length : ahead[r].length;
      const int64_t lines = (length + kLine - 1) / kLine;
      if (!ahead[r].data || lines == 0) continue;
      regions_[r] = {ahead[r].data, rows, lines, ahead[r].row, (rows * lines + turns - 1) / turns};
    }
  }
  // Products between two turns, of a sum of `length`.
  int64_t stretch(int64_t length) const {
    return regions_[0].data || regions_[1].data ? kTurn : length;
  }
  void turn() {
    for (Region& r : regions_)
      for (int64_t i = 0; i < r.share && r.rows > 0; ++i) {
        __builtin_prefetch(r.data + r.line * kLine, 0, 2);
        if (++r.line < r.lines) continue;
        r.line = 0;
        r.data += r.row;
        --r.rows;
      }
  }

 private:
  static constexpr int64_t kLine = 64 / sizeof(T);
  struct Region {
    const T* data = nullptr;
    int64_t rows = 0, lines = 0, row = 0, share = 0, line = 0;
  };
  Region regions_[2];
};

// c [M x kV vectors] = sum over s, k of a(i, s, k) b(s, k, :). kAlongK: a_k is 1, else a_row is 1.
template <class T, int M, int kV, bool kAlongK>
void tile(const Product<T>& p, const Place<T>& at, Fetch<T>& fetch) {
  constexpr int kW = kLanes<T>, kLineVectors = 64 / sizeof(Vector<T>);
  Vector<T> sum[M][kV];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < kV; ++v) sum[i][v] = Vector<T>(T(0));

  const int64_t a_row = p.a_row, a_k = p.a_k, b_k = p.b_k, b_panel = p.b_panel;
  const int64_t stretch = fetch.stretch(p.length);
  // c is asked for over the turns too, a few rows each: in one burst it would delay a and b by 2 %.
  const int64_t turns = p.segments * ((p.length + stretch - 1) / stretch);
  const int64_t rows_per_turn = turns > 1 ? (2 * M + turns) / turns : 0;
  int64_t asked = 0;
  const T* b = at.b;
  for (int64_t s = 0; s < p.segments; ++s) {
    const T* a = at.a + (p.a_segment ? p.a_segment[s] : 0);
    if (p.b_segment) b = at.b + p.b_segment[s];
    for (int64_t k = 0; k < p.length;) {
      fetch.turn();
      for (int64_t i = 0; i < rows_per_turn && asked < M; ++i, ++asked)
        for (int v = 0; v < kV; v += kLineVectors)
          __builtin_prefetch(at.c + asked * p.c_row + v * kW, 1);
      const int64_t end = p.length - k < stretch ? p.length : k + stretch;
      for (; k < end; ++k) {
        Vector<T> bv[kV];
#pragma GCC unroll 16
        for (int v = 0; v < kV; ++v) bv[v] = Vector<T>::load(b + (v / 2) * b_panel + (v % 2) * kW);
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i) {
          const Vector<T> x(kAlongK ? a[i * a_row] : a[i]);
#pragma GCC unroll 16
          for (int v = 0; v < kV; ++v) sum[i][v] = fma(x, bv[v], sum[i][v]);
        }
        a += kAlongK ? 1 : a_k;
        b += b_k;
      }
    }
  }

  if (at.columns == kV * kW && !p.epilogue) {
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < kV; ++v) {
        T* c = at.c + i * p.c_row + v * kW;
        (p.accumulate ? sum[i][v] + Vector<T>::load(c) : sum[i][v]).store(c);
      }
    return;
  }
  alignas(64) T sums[M][kV * kW];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < kV; ++v) sum[i][v].store(sums[i] + v * kW);
  finish_tile(p, at, M, sums[0], kV * kW);
}

template <class T>
using Tile = void (*)(const Product<T>& p, const Place<T>& at, Fetch<T>& fetch);

// tiles[log2 of the vectors][rows - 1]
template <class T>
struct Tiles {
  Tile<T> of[4][kTileRows];
};

template <class T, bool kAlongK, int M, int kLog>
constexpr void add_tiles(Tiles<T>& tiles) {
  if constexpr ((1 << kLog) <= most_vectors(M)) {
    tiles.of[kLog][M - 1] = tile<T, M, 1 << kLog, kAlongK>;
    add_tiles<T, kAlongK, M, kLog + 1>(tiles);
  } else if constexpr (M > 1) {
    add_tiles<T, kAlongK, M - 1, 0>(tiles);
  }
}
template <class T, bool kAlongK>
constexpr Tiles<T> all_tiles() {
  Tiles<T> tiles{};
  add_tiles<T, kAlongK, kTileRows, 0>(tiles);
  return tiles;
}

template <class T>
void multiply(const Product<T>& p) {
  static constexpr Tiles<T> kAlongK = all_tiles<T, true>(), kAcross = all_tiles<T, false>();
  constexpr int64_t kW = kLanes<T>;
  const auto& tiles = p.a_k == 1 ? kAlongK.of : kAcross.of;
  const Epilogue<T>* e = p.epilogue;
  const int64_t row_tiles = (p.m + kTileRows - 1) / kTileRows;
  // Tiles of nearly equal height; the tallest decides how many vectors fit beside each other.
  const int most = most_vectors(static_cast<int>((p.m + row_tiles - 1) / row_tiles));
  const int64_t tiles_in_all = row_tiles * ((p.n + most * kW - 1) / (most * kW));
  Fetch<T> fetch(p.ahead, tiles_in_all * p.segments * ((p.length + kTurn - 1) / kTurn));
  for (int64_t j = 0; j < p.n;) {
    int log = 0;  // never more vectors than are left: b ends with them
    while ((2 << log) <= most && ((int64_t{2} << log) - 1) * kW < p.n - j) ++log;
    const int64_t wide = (int64_t{1} << log) * kW;
    const int64_t columns = wide < p.n - j ? wide : p.n - j;
    const T* b = p.b + j / (2 * kW) * p.b_panel;
    for (int64_t t = 0; t < row_tiles; ++t) {
      const int64_t i = p.m * t / row_tiles, m = p.m * (t + 1) / row_tiles - i;
      const Place<T> at{p.a + i * p.a_row,
                        b,
                        p.c + i * p.c_row + j,
                        columns,
                        e && e->bias ? e->bias + j : nullptr,
                        e && e->residual ? e->residual + i * e->residual_row + j : nullptr};
      tiles[log][m - 1](p, at, fetch);
    }
    j += wide;
  }
}

template <class T>
void finish(const Product<T>& p, const T* sums, int64_t sums_row) {
  const Epilogue<T>* e = p.epilogue;
  const Place<T> at{nullptr, nullptr, p.c, p.n, e ? e->bias : nullptr, e ? e->residual : nullptr};
  finish_tile(p, at, p.m, sums, sums_row);
}

// a0 b0 a1 b1 ... of the lower and of the upper halves.
#if BRUME_VECTOR_BYTES == 64
#define BRUME_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define BRUME_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif BRUME_VECTOR_BYTES == 32
#define BRUME_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define BRUME_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define BRUME_LOW 0, 4, 1, 5
#define BRUME_HIGH 2, 6, 3, 7
inline math::Wide<double> zip_low(math::Wide<double> a, math::Wide<double> b) {
  return math::Wide<double>(__builtin_shufflevector(a.v, b.v, 0, 2));
}
inline math::Wide<double> zip_high(math::Wide<double> a, math::Wide<double> b) {
  return math::Wide<double>(__builtin_shufflevector(a.v, b.v, 1, 3));
}
#endif
inline math::Wide<float> zip_low(math::Wide<float> a, math::Wide<float> b) {
  return math::Wide<float>(__builtin_shufflevector(a.v, b.v, BRUME_LOW));
}
inline math::Wide<float> zip_high(math::Wide<float> a, math::Wide<float> b) {
  return math::Wide<float>(__builtin_shufflevector(a.v, b.v, BRUME_HIGH));
}

// out[k * out_row + j] = x[j * x_row + k] over a square of one vector: log2(lanes) rounds that zip
// the first half of the rows with the second.
template <class T>
inline void transpose(const T* x, int64_t x_row, T* out, int64_t out_row) {
  constexpr int kW = kLanes<T>;
  Vector<T> v[kW], w[kW];
#pragma GCC unroll 16
  for (int i = 0; i < kW; ++i) v[i] = Vector<T>::load(x + i * x_row);
#pragma GCC unroll 4
  for (int round = 1; round < kW; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < kW / 2; ++i) {
      w[2 * i] = zip_low(v[i], v[i + kW / 2]);
      w[2 * i + 1] = zip_high(v[i], v[i + kW / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kW; ++i) v[i] = w[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kW; ++i) v[i].store(out + i * out_row);
}

template <class T>
void pack(int64_t m, int64_t n, const T* x, int64_t i_stride, int64_t j_stride, T* out,
          int64_t out_row) {
  constexpr int kW = kLanes<T>;
  int64_t j = 0;
  if (j_stride == 1) {
    for (int64_t i = 0; i < m; ++i) {
      const T* from = x + i * i_stride;
      T* to = out + i * out_row;
      for (j = 0; j + kW <= n; j += kW) Vector<T>::load(from + j).store(to + j);
      for (; j < n; ++j) to[j] = from[j];
    }
    return;
  }
  if (i_stride == 1)
    for (; j + kW <= n; j += kW) {
      const T* from = x + j * j_stride;
      int64_t i = 0;
      for (; i + kW <= m; i += kW) transpose(from + i, j_stride, out + i * out_row + j, out_row);
      if (i == m) continue;
      // The rest takes whole vectors too where memory before or behind it belongs to x.
      const bool behind = (n - j - kW) * j_stride >= kW - (m - i), before = j * j_stride >= kW - m;
      if (behind || before) {
        const int64_t first = behind ? i : m - kW;
        alignas(64) T square[kW * kW];
        transpose(from + first, j_stride, square, kW);
        for (; i < m; ++i) Vector<T>::load(square + (i - first) * kW).store(out + i * out_row + j);
      }
      for (; i < m; ++i)
        for (int64_t q = 0; q < kW; ++q) out[i * out_row + j + q] = from[q * j_stride + i];
    }
  for (int64_t i = 0; i < m; ++i)
    for (int64_t q = j; q < n; ++q) out[i * out_row + q] = x[i * i_stride + q * j_stride];
}

template <class T>
void pack_panels(int64_t k, int64_t n, const T* x, int64_t k_stride, int64_t j_stride, T* out,
                 int64_t out_panel) {
  constexpr int64_t kColumns = 2 * kLanes<T>;
  // Rows of x at a time: all panels of 16 rows, so that adjacent numbers are read one after the
  // other.
  constexpr int64_t kRows = 16;
  for (int64_t p = 0; p < k; p += kRows) {
    const int64_t rows = k - p < kRows ? k - p : kRows;
    T* to = out + p * kColumns;
    for (int64_t j = 0; j < n; j += kColumns, to += out_panel) {
      const int64_t columns = n - j < kColumns ? n - j : kColumns;
      pack(rows, columns, x + p * k_stride + j * j_stride, k_stride, j_stride, to, kColumns);
      for (int64_t i = 0; i < rows && columns < kColumns; ++i)
        for (int64_t q = columns; q < kColumns; ++q) to[i * kColumns + q] = 0;
    }
  }
}

template <class T>
constexpr GemmIsa<T> table() {
  return {.rows = kTileRows,
          .columns = 2 * kLanes<T>,
          .multiply = multiply<T>,
          .finish = finish<T>,
          .pack_panels = pack_panels<T>,
          .pack = pack<T>};
}

}  // namespace

extern const GemmIsa<float> gemm_f32 = table<float>();
#if BRUME_VECTOR_BYTES == 16
extern const GemmIsa<double> gemm_f64 = table<double>();
#endif

}  // namespace brume::cpu::BRUME_ISA
