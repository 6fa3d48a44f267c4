// Inner loops of Fourier transforms. Every operation acts on all lanes, so a line's bits are the
// same in every lane.

#include <brume/core/cpu/isa/fft.h>
#include <brume/core/cpu/simd.h>

#include <utility>

namespace brume::cpu::BRUME_ISA {
namespace {

using namespace math;

template <class V>
struct Complex {
  V re, im;
  friend Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
  friend Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
  friend Complex operator*(Complex a, Complex b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
  friend Complex operator*(double c, Complex a) { return {c * a.re, c * a.im}; }
};

// -i z
template <class V>
Complex<V> turned(Complex<V> z) {
  return {z.im, -z.re};
}
template <class V>
Complex<V> conjugate(Complex<V> z) {
  return {z.re, -z.im};
}
template <class V>
Complex<V> swapped(Complex<V> z) {
  return {z.im, z.re};
}

// Complex number i of a panel, and of a table that all lanes share.
template <class V, class T>
Complex<V> load(const T* panel, int64_t i) {
  const T* at = panel + 2 * i * V::kLanes;
  return {V::load(at), V::load(at + V::kLanes)};
}
template <class V, class T>
void store(Complex<V> z, T* panel, int64_t i) {
  T* at = panel + 2 * i * V::kLanes;
  z.re.store(at);
  z.im.store(at + V::kLanes);
}
template <class V, class T>
Complex<V> constant(const T* table, int64_t i) {
  return {V(table[2 * i]), V(table[2 * i + 1])};
}

// The transform of kR numbers in place. @source Winograd's short forms for 3 and 5
template <int kR, class V, class T>
void butterfly(Complex<V>* a, const T* roots) {
  if constexpr (kR == 2) {
    const Complex<V> d = a[0] - a[1];
    a[0] = a[0] + a[1];
    a[1] = d;
  } else if constexpr (kR == 3) {
    constexpr double kSin = 0.86602540378443864676;
    const Complex<V> s = a[1] + a[2], d = kSin * turned(a[1] - a[2]);
    const Complex<V> m = a[0] - 0.5 * s;
    a[0] = a[0] + s;
    a[1] = m + d;
    a[2] = m - d;
  } else if constexpr (kR == 4) {
    const Complex<V> s = a[0] + a[2], d = a[0] - a[2];
    const Complex<V> t = a[1] + a[3], e = turned(a[1] - a[3]);
    a[0] = s + t;
    a[1] = d + e;
    a[2] = s - t;
    a[3] = d - e;
  } else if constexpr (kR == 5) {
    constexpr double kCos1 = 0.30901699437494742410, kCos2 = -0.80901699437494742410;
    constexpr double kSin1 = 0.95105651629515357212, kSin2 = 0.58778525229247312917;
    const Complex<V> s1 = a[1] + a[4], s2 = a[2] + a[3];
    const Complex<V> d1 = turned(a[1] - a[4]), d2 = turned(a[2] - a[3]);
    const Complex<V> m1 = a[0] + kCos1 * s1 + kCos2 * s2, m2 = a[0] + kCos2 * s1 + kCos1 * s2;
    const Complex<V> e1 = kSin1 * d1 + kSin2 * d2, e2 = kSin2 * d1 - kSin1 * d2;
    a[0] = a[0] + s1 + s2;
    a[1] = m1 + e1;
    a[2] = m2 + e2;
    a[3] = m2 - e2;
    a[4] = m1 - e1;
  } else {
    Complex<V> y[kR];
    for (int k = 0; k < kR; ++k) {
      y[k] = a[0];
      for (int j = 1; j < kR; ++j) y[k] = y[k] + constant<V>(roots, j * k % kR) * a[j];
    }
    for (int k = 0; k < kR; ++k) a[k] = y[k];
  }
}

template <int kR, class V, class T>
void run_pass(const FftPass<T>& pass, const T* x, T* y) {
  const int64_t s = pass.stride;
  for (int64_t p = 0; p < pass.blocks; ++p) {
    Complex<V> w[kR];
    for (int t = 1; t < kR; ++t) w[t] = constant<V>(pass.twiddles.data(), p * (kR - 1) + t - 1);
    for (int64_t q = 0; q < s; ++q) {
      Complex<V> a[kR];
      for (int k = 0; k < kR; ++k) a[k] = load<V>(x, q + s * (p + k * pass.blocks));
      butterfly<kR>(a, pass.roots.data());
      store(a[0], y, q + s * kR * p);
      for (int t = 1; t < kR; ++t) store(p == 0 ? a[t] : a[t] * w[t], y, q + s * (kR * p + t));
    }
  }
}

template <class V, class T>
void run_pass(const FftPass<T>& pass, const T* x, T* y) {
  switch (pass.radix) {
    case 2:
      return run_pass<2, V>(pass, x, y);
    case 3:
      return run_pass<3, V>(pass, x, y);
    case 4:
      return run_pass<4, V>(pass, x, y);
    case 5:
      return run_pass<5, V>(pass, x, y);
    case 7:
      return run_pass<7, V>(pass, x, y);
    case 11:
      return run_pass<11, V>(pass, x, y);
    default:
      return run_pass<13, V>(pass, x, y);
  }
}

template <class V, class T>
void forward(const FftPlan<T>& plan, T* panel, T* work);

// A transform is a convolution with a chirp between two products with it.
template <class V, class T>
void forward_by_chirp(const FftPlan<T>& plan, T* panel, T* work) {
  const FftPlan<T>& convolver = *plan.convolver;
  for (int64_t i = 0; i < plan.n; ++i)
    store(load<V>(panel, i) * constant<V>(plan.chirp.data(), i), panel, i);
  for (int64_t i = plan.n; i < convolver.n; ++i) store(Complex<V>{V(0), V(0)}, panel, i);
  forward<V>(convolver, panel, work);
  // Swapped parts before and behind make the next transform an inverse one.
  for (int64_t i = 0; i < convolver.n; ++i)
    store(swapped(load<V>(panel, i) * constant<V>(plan.chirp_spectrum.data(), i)), panel, i);
  forward<V>(convolver, panel, work);
  for (int64_t i = 0; i < plan.n; ++i)
    store(swapped(load<V>(panel, i)) * constant<V>(plan.chirp.data(), i), panel, i);
}

template <class V, class T>
void forward(const FftPlan<T>& plan, T* panel, T* work) {
  if (plan.convolver) return forward_by_chirp<V>(plan, panel, work);
  T *x = panel, *y = work;
  for (const FftPass<T>& pass : plan.passes) {
    run_pass<V>(pass, x, y);
    std::swap(x, y);
  }
  if (x == panel) return;
  for (int64_t i = 0; i < plan.n; ++i) store(load<V>(x, i), panel, i);
}

template <class V, class T>
void swap_parts(int64_t n, T* panel) {
  for (int64_t i = 0; i < n; ++i) store(swapped(load<V>(panel, i)), panel, i);
}

template <class V, class T = typename V::Element>
void transform(const FftPlan<T>& plan, bool inverse, T* panel, T* work) {
  if (inverse) swap_parts<V>(plan.n, panel);
  forward<V>(plan, panel, work);
  if (inverse) swap_parts<V>(plan.n, panel);
}

// Z: the transform of even + i odd. Both are real, so even = (Z[k] + conj Z[n - k]) / 2.
template <class V, class T = typename V::Element>
void split(const FftPlan<T>& plan, const T* panel, T* spectrum) {
  const int64_t n = plan.n;
  for (int64_t k = 0; k <= n; ++k) {
    const Complex<V> z = load<V>(panel, k % n), mirror = conjugate(load<V>(panel, (n - k) % n));
    const Complex<V> odd = constant<V>(plan.half_turn.data(), k) * turned(z - mirror);
    store(0.5 * (z + mirror + odd), spectrum, k);
  }
}

template <class V, class T = typename V::Element>
void join(const FftPlan<T>& plan, const T* spectrum, T* panel) {
  const int64_t n = plan.n;
  const auto frequency = [&](int64_t k) {
    Complex<V> x = load<V>(spectrum, k);
    if (k == 0 || k == n) x.im = V(0);
    return x;
  };
  for (int64_t k = 0; k < n; ++k) {
    const Complex<V> x = frequency(k), mirror = conjugate(frequency(n - k));
    const Complex<V> odd = conjugate(constant<V>(plan.half_turn.data(), k)) * (x - mirror);
    store(x + mirror - turned(odd), panel, k);
  }
}

template <class V>
constexpr FftLoops<typename V::Element> table() {
  return {.lanes = V::kLanes, .transform = transform<V>, .split = split<V>, .join = join<V>};
}

}  // namespace

const FftLoops<float> fft_loops = table<Wide<float>>();
#if BRUME_VECTOR_BYTES == 16
const FftLoops<double> fft_loops_f64 = table<Wide<double>>();
#endif

}  // namespace brume::cpu::BRUME_ISA
