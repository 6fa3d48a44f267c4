// Inner loops of softmax.

#include <brume/core/cpu/isa/lanes.h>
#include <brume/core/cpu/isa/softmax.h>
#include <brume/core/math/special.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;

template <class V, class T = typename V::Element>
inline T row_max(int64_t width, const T* x) {
  const V lowest(-static_cast<T>(__builtin_inff()));
  return largest(accumulate<V>(
      width, lowest,
      [=](V m, int64_t i, auto lanes) { return max(m, lanes.keep(lanes.load(x + i), lowest)); },
      larger));
}

// y = exp(x - m) if y is given; returns the sum.
template <class V, class T = typename V::Element>
inline T row_exp(int64_t width, const T* x, V m, T* y) {
  return sum(accumulate<V>(
      width, V(0),
      [=](V total, int64_t i, auto lanes) {
        const V e = exp_nonpositive(lanes.load(x + i) - m);
        if (y) lanes.store(e, y + i);
        return total + lanes.keep(e, V(0));
      },
      plus));
}

template <class V, class T = typename V::Element>
void softmax(int64_t rows, int64_t width, const T* x, T* y) {
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    const V scale(T(1) / row_exp<V>(width, x, V(row_max<V>(width, x)), y));
    for_vectors<V>(width,
                   [&](int64_t i, auto lanes) { lanes.store(lanes.load(y + i) * scale, y + i); });
  }
}

template <class V, class T = typename V::Element>
void log_softmax(int64_t rows, int64_t width, const T* x, T* y) {
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    const V m(row_max<V>(width, x));
    const V shift = log(V(row_exp<V>(width, x, m, static_cast<T*>(nullptr))));
    for_vectors<V>(
        width, [&](int64_t i, auto lanes) { lanes.store((lanes.load(x + i) - m) - shift, y + i); });
  }
}

template <class V>
constexpr SoftmaxLoops<typename V::Element> table() {
  return {.softmax = softmax<V>, .log_softmax = log_softmax<V>};
}

}  // namespace

const SoftmaxLoops<float> softmax_loops = table<Wide<float>>();
#if BRUME_VECTOR_BYTES == 16
const SoftmaxLoops<double> softmax_loops_f64 = table<Wide<double>>();
#endif

}  // namespace brume::cpu::BRUME_ISA
