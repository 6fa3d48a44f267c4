// Inner loops of optimizers.

#include <brume/core/cpu/isa/lanes.h>
#include <brume/core/cpu/isa/optim.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;

// a + rest (b - a)
template <class V>
inline V towards(V a, V b, V rest) {
  return fma(b - a, rest, a);
}

template <class V, bool kMax, bool kAverage, class T = typename V::Element>
void adam_of(int64_t n, const AdamNumbers<T>& c, const AdamArrays<T>& x) {
  const V grad_scale(c.grad_scale), weight_decay(c.weight_decay), keep(c.keep),
      beta1_rest(c.beta1_rest), beta2(c.beta2), beta2_rest(c.beta2_rest),
      correction(c.inverse_root_correction), eps(c.eps), step_size(-c.step_size),
      average_rest(c.average_rest);
  for_vectors<V>(n, [&](int64_t i, auto lanes) {
    V p = lanes.load(x.param + i);
    const V g = fma(p, weight_decay, lanes.load(x.grad + i) * grad_scale);
    const V m = towards(lanes.load(x.exp_avg + i), g, beta1_rest);
    V v = fma(lanes.load(x.exp_avg_sq + i), beta2, g * g * beta2_rest);
    lanes.store(m, x.exp_avg + i);
    lanes.store(v, x.exp_avg_sq + i);
    if constexpr (kMax) {
      v = max(lanes.load(x.max_exp_avg_sq + i), v);
      lanes.store(v, x.max_exp_avg_sq + i);
    }
    p = fma(m / fma(sqrt(v), correction, eps), step_size, p * keep);
    lanes.store(p, x.param + i);
    if constexpr (kAverage)
      lanes.store(towards(lanes.load(x.average + i), p, average_rest), x.average + i);
  });
}

template <class V, class T = typename V::Element>
void adam(int64_t n, const AdamNumbers<T>& c, const AdamArrays<T>& x) {
  if (x.max_exp_avg_sq)
    x.average ? adam_of<V, true, true>(n, c, x) : adam_of<V, true, false>(n, c, x);
  else
    x.average ? adam_of<V, false, true>(n, c, x) : adam_of<V, false, false>(n, c, x);
}

template <class V, class T = typename V::Element>
void sgd(int64_t n, const SgdNumbers<T>& c, const SgdArrays<T>& x) {
  const V grad_scale(c.grad_scale), weight_decay(c.weight_decay), momentum(c.momentum),
      rest(c.dampening_rest), lr(-c.lr), average_rest(c.average_rest);
  for_vectors<V>(n, [&](int64_t i, auto lanes) {
    V p = lanes.load(x.param + i);
    V g = fma(p, weight_decay, lanes.load(x.grad + i) * grad_scale);
    if (x.momentum_buffer) {
      const V b = c.first ? g : fma(lanes.load(x.momentum_buffer + i), momentum, g * rest);
      lanes.store(b, x.momentum_buffer + i);
      g = c.nesterov ? fma(b, momentum, g) : b;
    }
    p = fma(g, lr, p);
    lanes.store(p, x.param + i);
    if (x.average) lanes.store(towards(lanes.load(x.average + i), p, average_rest), x.average + i);
  });
}

template <class V, class T = typename V::Element>
void average(int64_t n, T rest, const T* param, T* average) {
  for_vectors<V>(n, [&](int64_t i, auto lanes) {
    lanes.store(towards(lanes.load(average + i), lanes.load(param + i), V(rest)), average + i);
  });
}

template <class V, class T = typename V::Element>
void scale(int64_t n, T factor, T* x) {
  for_vectors<V>(n,
                 [&](int64_t i, auto lanes) { lanes.store(lanes.load(x + i) * V(factor), x + i); });
}

template <class D>
inline D load_f64(const double* x) {
  return D::load(x);
}
template <class D>
inline D load_f64(const float* x) {
  if constexpr (D::kLanes >= 4) {
    return convert<double>(Vec<float, D::kLanes>::load(x));
  } else {
    const double lanes[] = {x[0], x[1]};
    return D::load(lanes);
  }
}

template <class T>
double sum_of_squares(int64_t n, const T* x) {
  using D = Wide<double>;
  constexpr int64_t kLanes = D::kLanes;
  D s[4] = {D(0.0), D(0.0), D(0.0), D(0.0)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const D v = load_f64<D>(x + i + k * kLanes);
      s[k] = fma(v, v, s[k]);
    }
  double total = sum((s[0] + s[1]) + (s[2] + s[3]));
  for (; i < n; ++i) total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return total;
}

template <class V>
constexpr OptimLoops<typename V::Element> table() {
  return {.adam = adam<V>,
          .sgd = sgd<V>,
          .average = average<V>,
          .scale = scale<V>,
          .sum_of_squares = sum_of_squares<typename V::Element>};
}

}  // namespace

const OptimLoops<float> optim_loops = table<Wide<float>>();
#if BRUME_VECTOR_BYTES == 16
const OptimLoops<double> optim_loops_f64 = table<Wide<double>>();
#endif

}  // namespace brume::cpu::BRUME_ISA
