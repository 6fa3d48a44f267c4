#pragma once
// Functions that models hardly call: computed in f64, one number at a time.

#include <brume/core/math/special.h>

namespace brume::math::inline BRUME_ISA {

/// The Bernoulli numbers B_2, B_4, ... with the factor that the asymptotic series of polygamma has.
struct Stirling {
  double c[8];
};
template <int kOrder>
constexpr Stirling stirling() {
  Stirling s{{1. / 6, -1. / 30, 1. / 42, -1. / 30, 5. / 66, -691. / 2730, 7. / 6, -3617. / 510}};
  for (int i = 0; i < 8; ++i) s.c[i] *= kOrder == 0 ? 0.5 / (i + 1) : kOrder == 1 ? 1 : 2 * i + 3;
  return s;
}

/// The derivative of order 0, 1 or 2 of digamma.
/// @source Abramowitz and Stegun 1964, 6.4.6, 6.4.7 (recurrence, reflection), 6.4.11 (asymptotic)
template <int kOrder>
BRUME_HD_CALL double polygamma(double x) {
  static_assert(kOrder >= 0 && kOrder <= 2);
  if (x == 0) return kOrder == 1 ? __builtin_inf() : -__builtin_copysign(__builtin_inf(), x);
  if (x < 0) {
    if (x == BRUME_LIBM(floor)(x)) return kOrder == 1 ? __builtin_inf() : __builtin_nan("");
    constexpr double pi = 3.141592653589793;
    const double s = pi / BRUME_LIBM(sin)(pi * x), c = BRUME_LIBM(cos)(pi * x);
    const double mirrored = polygamma<kOrder>(1 - x);
    if (kOrder == 0) return mirrored - s * c;
    if (kOrder == 1) return s * s - mirrored;
    return mirrored - 2 * s * s * s * c;
  }
  double shifted = 0;  // what lies between x and where the series is good
  if constexpr (kOrder == 0) {
    double product = 1, slope = 0;  // of x (x + 1) ...: one division instead of one per step
    for (; x < 7; x += 1) {
      slope = slope * x + product;
      product *= x;
    }
    shifted = -slope / product;
  } else {
    for (; x < 7; x += 1) shifted += kOrder == 1 ? 1 / (x * x) : -2 / (x * x * x);
  }
  const double r = 1 / x, z = r * r;
  constexpr Stirling factor = stirling<kOrder>();  // in here: a GPU has no variables of namespaces
  double series = 0;                               // sum of B_2k z^k times a factor of the order
  for (int k = 7; k >= 0; --k) series = (series + factor.c[k]) * z;
  if (kOrder == 0) return shifted + BRUME_LIBM(log)(x) - 0.5 * r - series;
  if (kOrder == 1) return shifted + r + 0.5 * z + r * series;
  return shifted - z - r * z - z * series;
}

/// The x with erf(x) = y.
BRUME_HD_CALL double inverse_erf(double y) {
  const double a = __builtin_fabs(y);
  if (!(a < 1)) return a == 1 ? __builtin_copysign(__builtin_inf(), y) : __builtin_nan("");
  // Winitzki's closed form is right to 2e-3, and each of Halley's steps cubes the error.
  const double l = BRUME_LIBM(log)((1 - a) * (1 + a)),
               t = 2 / (3.141592653589793 * 0.147) + 0.5 * l;
  double x = BRUME_LIBM(sqrt)(BRUME_LIBM(sqrt)(t * t - l / 0.147) - t);
  for (int step = 0; step < 3; ++step) {
    const double excess = a < 0.5 ? BRUME_LIBM(erf)(x) - a : (1 - a) - BRUME_LIBM(erfc)(x);
    const double newton = excess / (1.1283791670955126 * BRUME_LIBM(exp)(-x * x));
    x -= newton / (1 + x * newton);
  }
  return __builtin_copysign(x, y);
}

template <int kOrder, class T, int N>
BRUME_HD Vec<T, N> polygamma(Vec<T, N> x) {
  return per_lane([](T a) { return static_cast<T>(polygamma<kOrder>(static_cast<double>(a))); }, x);
}
template <class T, int N>
BRUME_HD Vec<T, N> erfinv(Vec<T, N> x) {
  return per_lane([](T a) { return static_cast<T>(inverse_erf(static_cast<double>(a))); }, x);
}

}  // namespace brume::math::inline BRUME_ISA
