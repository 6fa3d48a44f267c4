// Inner loops of group norm on channels-last images, and of the norms over rows.

#include <brume/core/cpu/isa/lanes.h>
#include <brume/core/cpu/isa/norm.h>
#include <brume/core/math/special.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;

// Group norm: arrays [rows, channels].

// Sums run down the columns of kN vectors at once, so that every row gives whole cache lines.
template <class V, int kN, bool kSquares, class Lanes, class T = typename V::Element>
inline void column_moments(int64_t rows, int64_t channels, const T* x, const T* shift, Lanes lanes,
                           T* s, T* q) {
  V center[kN], sums[kN], squares[kN];
  BRUME_UNROLL
  for (int k = 0; k < kN; ++k) {
    center[k] = lanes.load(shift + k * V::kLanes);
    sums[k] = squares[k] = V(0);
  }
  for (int64_t r = 0; r < rows; ++r, x += channels) {
    BRUME_UNROLL
    for (int k = 0; k < kN; ++k) {
      const V d = lanes.load(x + k * V::kLanes) - center[k];
      sums[k] = sums[k] + d;
      if constexpr (kSquares) squares[k] = fma(d, d, squares[k]);
    }
  }
  BRUME_UNROLL
  for (int k = 0; k < kN; ++k) {
    lanes.store(sums[k], s + k * V::kLanes);
    if constexpr (kSquares) lanes.store(squares[k], q + k * V::kLanes);
  }
}

template <class V, class T = typename V::Element>
void moments(int64_t rows, int64_t channels, const T* x, const T* shift, T* s, T* q) {
  for_groups<V, 4>(channels, [=](int64_t c, auto group, auto lanes) {
    constexpr int kN = decltype(group)::kVectors;
    if (q)
      column_moments<V, kN, true>(rows, channels, x + c, shift + c, lanes, s + c, q + c);
    else
      column_moments<V, kN, false>(rows, channels, x + c, shift + c, lanes, s + c, q);
  });
}

// f(i, channel, lanes) for each vector of [rows, channels]. Whole rows go through one flat loop,
// which keeps the constants of f in registers.
template <class V, class F>
inline void for_pixels(int64_t rows, int64_t channels, F&& f) {
  if (channels % V::kLanes == 0) {
    int64_t c = 0;
    for (int64_t i = 0; i < rows * channels; i += V::kLanes) {
      f(i, c, Whole<V>{});
      c += V::kLanes;
      if (c == channels) c = 0;
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<V>(channels, [&](int64_t c, auto lanes) { f(r * channels + c, c, lanes); });
}

template <class V, bool kSilu, class T = typename V::Element>
void affine_of(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
               const T* offset, T* y) {
  for_pixels<V>(rows, channels, [=](int64_t i, int64_t c, auto lanes) {
    const V h = fma(lanes.load(x + i) - lanes.load(center + c), lanes.load(slope + c),
                    lanes.load(offset + c));
    lanes.store(kSilu ? h * saturating_sigmoid(h) : h, y + i);
  });
}

template <class V, class T = typename V::Element>
void affine(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
            const T* offset, bool silu, T* y) {
  if (silu)
    affine_of<V, true>(rows, channels, x, center, slope, offset, y);
  else
    affine_of<V, false>(rows, channels, x, center, slope, offset, y);
}

template <class V, int kN, bool kSilu, class Lanes, class T = typename V::Element>
inline void column_sums(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
                        const T* offset, const T* gy, Lanes lanes, T* g, T* sums) {
  // Parts of rows are no stream that the processor foresees.
  constexpr int64_t kRowsAhead = 16, kLineVectors = 64 / sizeof(V);
  V m[kN], a[kN], b[kN], sum_g[kN], sum_gd[kN], sum_d[kN];
  BRUME_UNROLL
  for (int k = 0; k < kN; ++k) {
    m[k] = lanes.load(center + k * V::kLanes);
    a[k] = lanes.load(slope + k * V::kLanes);
    b[k] = lanes.load(offset + k * V::kLanes);
    sum_g[k] = sum_gd[k] = sum_d[k] = V(0);
  }
  for (int64_t r = 0, row = 0; r < rows; ++r, row += channels) {
    BRUME_UNROLL
    for (int k = 0; k < kN; ++k) {
      const int64_t at = row + k * V::kLanes;
      if (k % kLineVectors == 0) {
        __builtin_prefetch(x + at + kRowsAhead * channels);
        __builtin_prefetch(gy + at + kRowsAhead * channels);
      }
      const V d = lanes.load(x + at) - m[k];
      V u = lanes.load(gy + at);
      if constexpr (kSilu) {
        const V h = fma(d, a[k], b[k]), s = saturating_sigmoid(h);
        u = u * s * fma(h, V(1) - s, V(1));
        lanes.store(u, g + at);
      }
      sum_g[k] = sum_g[k] + u;
      sum_gd[k] = fma(u, d, sum_gd[k]);
      sum_d[k] = sum_d[k] + d;
    }
  }
  BRUME_UNROLL
  for (int k = 0; k < kN; ++k) {
    lanes.store(sum_g[k], sums + k * V::kLanes);
    lanes.store(sum_gd[k], sums + channels + k * V::kLanes);
    lanes.store(sum_d[k], sums + 2 * channels + k * V::kLanes);
  }
}

template <class V, class T = typename V::Element>
void affine_sums(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
                 const T* offset, bool silu, const T* gy, T* g, T* sums) {
  for_groups<V, 2>(channels, [=](int64_t c, auto group, auto lanes) {
    constexpr int kN = decltype(group)::kVectors;
    const auto f = silu ? column_sums<V, kN, true, decltype(lanes), T>
                        : column_sums<V, kN, false, decltype(lanes), T>;
    f(rows, channels, x + c, center + c, slope + c, offset + c, gy + c, lanes, g + c, sums + c);
  });
}

template <class V, class T = typename V::Element>
void affine_grad(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
                 const T* u, const T* v, const T* g, T* gx) {
  for_pixels<V>(rows, channels, [=](int64_t i, int64_t c, auto lanes) {
    const V d = lanes.load(x + i) - lanes.load(center + c);
    const V w = fma(d, lanes.load(v + c), lanes.load(u + c));
    lanes.store(fma(lanes.load(g + i), lanes.load(slope + c), -w), gx + i);
  });
}

// Norms over rows: arrays [rows, width].

template <class V, bool kCenter, class T = typename V::Element>
void norm_rows(int64_t rows, int64_t width, T eps, const T* x, const T* weight, const T* bias, T* y,
               T* mean, T* rstd) {
  const T share = T(1) / static_cast<T>(width);
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    V m(0);
    if constexpr (kCenter) {
      const V total = accumulate<V>(
          width, V(0), [=](V s, int64_t i, auto lanes) { return s + lanes.load(x + i); }, plus);
      m = V(sum(total) * share);
      mean[r] = m[0];
    }
    const V squares = accumulate<V>(
        width, V(0),
        [=](V s, int64_t i, auto lanes) {
          const V d = lanes.keep(lanes.load(x + i) - m, V(0));
          return fma(d, d, s);
        },
        plus);
    const Vec<T, 1> variance(sum(squares) * share + eps);
    rstd[r] = T(1) / sqrt(variance).v;
    const V s(rstd[r]);
    for_vectors<V>(width, [&](int64_t i, auto lanes) {
      const V n = (lanes.load(x + i) - m) * s;
      lanes.store(fma(n, lanes.load(weight + i), lanes.load(bias + i)), y + i);
    });
  }
}

template <class V, class T = typename V::Element>
void norm(int64_t rows, int64_t width, T eps, const T* x, const T* weight, const T* bias, T* y,
          T* mean, T* rstd) {
  if (mean)
    norm_rows<V, true>(rows, width, eps, x, weight, bias, y, mean, rstd);
  else
    norm_rows<V, false>(rows, width, eps, x, weight, bias, y, mean, rstd);
}

template <class V, class T = typename V::Element>
void norm_grad(int64_t rows, int64_t width, const T* x, const T* weight, const T* mean,
               const T* rstd, const T* gy, T* gx, T* gweight, T* gbias) {
  const T share = T(1) / static_cast<T>(width);
  for (int64_t r = 0; r < rows; ++r, x += width, gy += width, gx += width) {
    const V m(mean ? mean[r] : T(0)), s(rstd[r]);
    struct Sums {
      V g, gn;  // of the gradient of the normalised values n, and of it times n
      Sums operator+(Sums other) const { return {g + other.g, gn + other.gn}; }
    };
    const Sums sums = accumulate<V>(
        width, Sums{V(0), V(0)},
        [=](Sums so_far, int64_t i, auto lanes) {
          const V n = (lanes.load(x + i) - m) * s, g = lanes.load(gy + i);
          const V gn = g * lanes.load(weight + i);
          lanes.store(fma(g, n, lanes.load(gweight + i)), gweight + i);
          lanes.store(g + lanes.load(gbias + i), gbias + i);
          return Sums{so_far.g + gn, fma(gn, n, so_far.gn)};
        },
        plus);
    const V c0(mean ? sum(sums.g) * share : T(0)), c1(sum(sums.gn) * share);
    for_vectors<V>(width, [&](int64_t i, auto lanes) {
      const V n = (lanes.load(x + i) - m) * s, gn = lanes.load(gy + i) * lanes.load(weight + i);
      lanes.store((gn - c0 - n * c1) * s, gx + i);
    });
  }
}

template <class V>
constexpr ChannelLoops<typename V::Element> channel_table() {
  return {.moments = moments<V>,
          .affine = affine<V>,
          .affine_sums = affine_sums<V>,
          .affine_grad = affine_grad<V>};
}

template <class V>
constexpr RowLoops<typename V::Element> row_table() {
  return {.norm = norm<V>, .norm_grad = norm_grad<V>};
}

}  // namespace

const ChannelLoops<float> channel_loops = channel_table<Wide<float>>();
const RowLoops<float> row_loops = row_table<Wide<float>>();
#if BRUME_VECTOR_BYTES == 16
const ChannelLoops<double> channel_loops_f64 = channel_table<Wide<double>>();
const RowLoops<double> row_loops_f64 = row_table<Wide<double>>();
#endif

}  // namespace brume::cpu::BRUME_ISA
