// Inner loops of attention.

#include <brume/core/cpu/isa/attention.h>
#include <brume/core/cpu/isa/lanes.h>
#include <brume/core/math/special.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inff());

// scale * score + bias, where there is a bias.
template <class V, bool kBias, class Lanes, class T = typename V::Element>
inline V scored(Lanes lanes, const T* score, V scale, const T* bias) {
  if constexpr (kBias)
    return fma(lanes.load(score), scale, lanes.load(bias));
  else
    return lanes.load(score) * scale;
}

template <class V, bool kBias, class T = typename V::Element>
void online_softmax_of(const ScoreBlock<T>& s, T* largest_so_far, T* sums, T* factor) {
  const V scale(s.scale), lowest(-kInfinity<T>);
  for (int64_t r = 0; r < s.rows; ++r) {
    T* x = s.scores + r * s.row_stride;
    const T* bias = kBias ? s.bias + r * s.bias_stride : nullptr;
    V m = lowest;
    for_vectors<V>(s.columns, [&](int64_t i, auto lanes) {
      m = max(m, lanes.keep(scored<V, kBias>(lanes, x + i, scale, bias + i), lowest));
    });
    const T before = largest_so_far[r], now = largest(m) > before ? largest(m) : before;
    // A row that has seen nothing yet: any finite shift gives exp(-inf) = 0.
    const V shift(now == -kInfinity<T> ? T(0) : now);
    V total(0);
    for_vectors<V>(s.columns, [&](int64_t i, auto lanes) {
      const V e = exp(scored<V, kBias>(lanes, x + i, scale, bias + i) - shift);
      total = total + lanes.keep(e, V(0));
      lanes.store(e, x + i);
    });
    factor[r] = exp(Vec<T, 1>(before - shift[0])).v;
    largest_so_far[r] = now;
    sums[r] = sums[r] * factor[r] + sum(total);
  }
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
    V total(0);
    for_vectors<V>(width, [&](int64_t i, auto lanes) {
      total = fma(lanes.load(x + i), lanes.load(y + i), total);
    });
    dot[r] = sum(total);
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
      const V p = exp(scored<V, kBias>(lanes, x + i, scale, bias + i) - shift);
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
  return {.online_softmax = online_softmax<V>,
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
