// Inner loops of attention.

#include <brume/core/cpu/isa/attention.h>
#include <brume/core/cpu/isa/lanes.h>
#include <brume/core/math/special.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inff());

// Every third number of three vectors.
#if BRUME_VECTOR_BYTES == 64
#define BRUME_THIRDS_OF_TWO 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0
#define BRUME_THIRDS_OF_LAST 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29
#elif BRUME_VECTOR_BYTES == 32
#define BRUME_THIRDS_OF_TWO 0, 3, 6, 9, 12, 15, 0, 0
#define BRUME_THIRDS_OF_LAST 0, 1, 2, 3, 4, 5, 10, 13
#else
#define BRUME_THIRDS_OF_TWO 0, 3, 6, 0
#define BRUME_THIRDS_OF_LAST 0, 1, 2, 5
#endif
inline Wide<float> every_third(const float* x) {
  using V = Wide<float>;
  const V a = V::load(x), b = V::load(x + V::kLanes), c = V::load(x + 2 * V::kLanes);
  const V two(__builtin_shufflevector(a.v, b.v, BRUME_THIRDS_OF_TWO));
  return V(__builtin_shufflevector(two.v, c.v, BRUME_THIRDS_OF_LAST));
}

template <class V, class T = typename V::Element>
void gather(int64_t rows, int64_t width, const HeadRows<const T>& x, T* out) {
  for (int64_t r = 0; r < rows; ++r, out += width) {
    const T* from = x.data + r * x.row;
    if (x.column == 1) {
      for_vectors<V>(width,
                     [=](int64_t i, auto lanes) { lanes.store(lanes.load(from + i), out + i); });
      continue;
    }
    int64_t i = 0;
    // The three vectors reach two numbers beyond the last one that is wanted.
    if constexpr (sizeof(T) == 4)
      if (x.column == 3)
        for (; i + V::kLanes < width; i += V::kLanes) every_third(from + 3 * i).store(out + i);
    for (; i < width; ++i) out[i] = from[i * x.column];
  }
}

template <class V, class T = typename V::Element>
void scatter(int64_t rows, int64_t width, const T* x, T scale, const HeadRows<T>& out) {
  for (int64_t r = 0; r < rows; ++r, x += width) {
    T* to = out.data + r * out.row;
    if (out.column == 1)
      for_vectors<V>(
          width, [=](int64_t i, auto lanes) { lanes.store(lanes.load(x + i) * V(scale), to + i); });
    else
      for (int64_t i = 0; i < width; ++i) to[i * out.column] = x[i] * scale;
  }
}

// scale * score + bias, where there is a bias.
template <class V, bool kBias, class Lanes, class T = typename V::Element>
inline V scored(Lanes lanes, const T* score, V scale, const T* bias) {
  if constexpr (kBias)
    return fma(lanes.load(score), scale, lanes.load(bias));
  else
    return lanes.load(score) * scale;
}

template <class V, bool kBias, class T = typename V::Element>
inline T row_max(int64_t columns, const T* x, V scale, const T* bias) {
  const V lowest(-kInfinity<T>);
  return largest(accumulate<V>(
      columns, lowest,
      [=](V m, int64_t i, auto lanes) {
        return max(m, lanes.keep(scored<V, kBias>(lanes, x + i, scale, bias + i), lowest));
      },
      larger));
}

// x = exp(score - shift); returns the sum.
template <class V, bool kBias, class T = typename V::Element>
inline T row_exp(int64_t columns, T* x, V scale, const T* bias, V shift) {
  return sum(accumulate<V>(
      columns, V(0),
      [=](V total, int64_t i, auto lanes) {
        const V e = exp_nonpositive(scored<V, kBias>(lanes, x + i, scale, bias + i) - shift);
        lanes.store(e, x + i);
        return total + lanes.keep(e, V(0));
      },
      plus));
}

template <class V, bool kBias, class T = typename V::Element>
void online_softmax_of(const ScoreBlock<T>& s, T* largest_so_far, T* sums, T* factor) {
  const V scale(s.scale);
  T totals[V::kLanes];
  for_vectors<V>(s.rows, [&](int64_t first, auto lanes) {
    const int64_t end = first + V::kLanes < s.rows ? first + V::kLanes : s.rows;
    for (int64_t r = first; r < end; ++r) {
      T* x = s.scores + r * s.row_stride;
      const T* bias = kBias ? s.bias + r * s.bias_stride : nullptr;
      const T m = row_max<V, kBias>(s.columns, x, scale, bias), before = largest_so_far[r];
      const T now = before > m ? before : m;  // NaN goes on
      // A row that has seen nothing yet: any finite shift gives exp(-inf) = 0.
      const T shift = now == -kInfinity<T> ? T(0) : now;
      totals[r - first] = row_exp<V, kBias>(s.columns, x, scale, bias, V(shift));
      factor[r] = before - shift;
      largest_so_far[r] = now;
    }
    const V f = exp_nonpositive(lanes.load(factor + first));
    lanes.store(f, factor + first);
    lanes.store(fma(lanes.load(sums + first), f, lanes.load(totals)), sums + first);
  });
}

template <class V, class T = typename V::Element>
void online_softmax(const ScoreBlock<T>& s, T* largest_so_far, T* sums, T* factor) {
  if (s.bias)
    online_softmax_of<V, true>(s, largest_so_far, sums, factor);
  else
    online_softmax_of<V, false>(s, largest_so_far, sums, factor);
}

template <class V, class T = typename V::Element>
void scale_rows(int64_t rows, int64_t width, T* x, int64_t row_stride, const T* factor) {
  for (int64_t r = 0; r < rows; ++r, x += row_stride) {
    const V f(factor[r]);
    for_vectors<V>(width,
                   [=](int64_t i, auto lanes) { lanes.store(lanes.load(x + i) * f, x + i); });
  }
}

template <class V, class T = typename V::Element>
void row_dots(int64_t rows, int64_t width, const T* x, int64_t x_stride, const T* y,
              int64_t y_stride, T* dot) {
  for (int64_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    dot[r] = sum(accumulate<V>(
        width, V(0),
        [=](V total, int64_t i, auto lanes) {
          return fma(lanes.load(x + i), lanes.load(y + i), total);
        },
        plus));
  }
}

template <class V, bool kBias, class T = typename V::Element>
void softmax_grad_of(const ScoreBlock<T>& s, const T* lse, T* gp, const T* mean_gp) {
  const V scale(s.scale);
  for (int64_t r = 0; r < s.rows; ++r) {
    T* x = s.scores + r * s.row_stride;
    T* g = gp + r * s.row_stride;
    const T* bias = kBias ? s.bias + r * s.bias_stride : nullptr;
    const V shift(lse[r] == -kInfinity<T> ? kInfinity<T> : lse[r]), mean(mean_gp[r]);
    for_vectors<V>(s.columns, [&](int64_t i, auto lanes) {
      const V p = exp_nonpositive(scored<V, kBias>(lanes, x + i, scale, bias + i) - shift);
      lanes.store(p, x + i);
      lanes.store(p * (lanes.load(g + i) - mean), g + i);
    });
  }
}

template <class V, class T = typename V::Element>
void softmax_grad(const ScoreBlock<T>& s, const T* lse, T* gp, const T* mean_gp) {
  if (s.bias)
    softmax_grad_of<V, true>(s, lse, gp, mean_gp);
  else
    softmax_grad_of<V, false>(s, lse, gp, mean_gp);
}

template <class V>
constexpr AttentionLoops<typename V::Element> table() {
  return {.gather = gather<V>,
          .scatter = scatter<V>,
          .online_softmax = online_softmax<V>,
          .scale_rows = scale_rows<V>,
          .row_dots = row_dots<V>,
          .softmax_grad = softmax_grad<V>};
}

}  // namespace

const AttentionLoops<float> attention_loops = table<Wide<float>>();
#if BRUME_VECTOR_BYTES == 16
const AttentionLoops<double> attention_loops_f64 = table<Wide<double>>();
#endif

}  // namespace brume::cpu::BRUME_ISA
