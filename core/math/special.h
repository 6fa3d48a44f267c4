#pragma once
// Elementary functions of Vec<float, N> as polynomials, a few ulp over the whole range including
// denormals, infinities and NaN (tests/core/special_functions.cpp has the bound of each). In f64
// they are the C library's, lane by lane. Coefficients are minimax fits (Remez) of this project,
// each rounded to f32 with the later ones fitted again.

#include <brume/core/cpu/simd.h>

#ifdef __CUDACC__
#define BRUME_LIBM(function) ::function
#else
#define BRUME_LIBM(function) __builtin_##function
#endif

namespace brume::math::inline BRUME_ISA {

/// c0 + c1 x + c2 x^2 + ...
template <class V, class... More>
BRUME_HD V polynomial(V x, double c0, More... more) {
  if constexpr (sizeof...(More) == 0)
    return V(c0);
  else
    return fma(polynomial(x, more...), x, V(c0));
}

template <class T, int N>
BRUME_HD Vec<T, N> abs(Vec<T, N> x) {
  using Bits = BitsOf<sizeof(T)>;
  const Vec<Bits, N> sign(static_cast<Bits>(Bits{1} << (8 * sizeof(T) - 1)));
  return bits_as<T>(bits_as<Bits>(x) & ~sign);
}
/// |size| with the sign of x, zeros and NaN included.
template <class T, int N>
BRUME_HD Vec<T, N> copysign(Vec<T, N> size, Vec<T, N> x) {
  using Bits = BitsOf<sizeof(T)>;
  const Vec<Bits, N> sign(static_cast<Bits>(Bits{1} << (8 * sizeof(T) - 1)));
  return bits_as<T>((bits_as<Bits>(size) & ~sign) | (bits_as<Bits>(x) & sign));
}

// Rounding. From 2^23 on every f32 is an integer.
template <int N>
BRUME_HD Vec<float, N> trunc(Vec<float, N> x) {
  const auto small = abs(x) < 0x1p23;
  const auto whole = convert<float>(convert<int32_t>(select(small, x, Vec<float, N>(0))));
  return select(small, copysign(whole, x), x);
}
template <int N>
BRUME_HD Vec<float, N> floor(Vec<float, N> x) {
  const auto t = trunc(x);
  return select(t > x, t - 1, t);
}
template <int N>
BRUME_HD Vec<float, N> ceil(Vec<float, N> x) {
  const auto t = trunc(x);
  return select(t < x, t + 1, t);
}
/// Halves go to the even neighbour.
template <int N>
BRUME_HD Vec<float, N> round(Vec<float, N> x) {
  const auto shift = copysign(Vec<float, N>(0x1p23), x);
  return select(abs(x) < 0x1p23, copysign((x + shift) - shift, x), x);
}

/// 2^n for -126 <= n <= 127.
template <int N>
BRUME_HD Vec<float, N> power_of_two(Vec<int32_t, N> n) {
  return bits_as<float>((n + 127) << 23);
}

/// y 2^n for whole n in [-151, 128], rounded once: denormal results included.
template <int N>
BRUME_HD Vec<float, N> times_power_of_two(Vec<float, N> y, Vec<float, N> n) {
#if defined(__AVX512F__) && !defined(__CUDACC__)
  if constexpr (N == 16) {
    y.v = __builtin_ia32_scalefps512_mask(y.v, n.v, y.v, static_cast<short>(-1), 4);
    return y;
  } else
#endif
  {
    const auto whole = convert<int32_t>(n), half = whole >> 1;
    return y * power_of_two(half) * power_of_two(whole - half);
  }
}

/// x = n ln 2 + r, |r| <= ln 2 / 2, and e^r - 1.
template <int N>
struct ExpParts {
  Vec<float, N> n, expm1_r;
};
template <int N>
BRUME_HD ExpParts<N> exp_parts(Vec<float, N> x) {
  using V = Vec<float, N>;
  // Adding 1.5 * 2^23 rounds to the nearest integer.
  const V magic(0x1.8p23), n = fma(x, V(0x1.715476p0), magic) - magic;
  // ln 2 in two parts; n times the first is exact without a fused multiply-add, too.
  const V r = fma(n, V(0x1.bd0106p-13), fma(n, V(-0x1.63p-1), x));
  const V q = polynomial(r, 0.5, 0x1.555464p-3, 0x1.5552fap-5, 0x1.125932p-7, 0x1.6ff33p-10);
  return {n, fma(r * r, q, r)};
}

/// e^x for -104 <= x <= 89 in f32, everywhere in f64.
template <int N>
BRUME_HD Vec<float, N> exp_in_range(Vec<float, N> x) {
  const auto [n, p] = exp_parts(x);
  return times_power_of_two(p + 1, n);
}
template <int N>
BRUME_HD Vec<double, N> exp_in_range(Vec<double, N> x) {
  return per_lane([](double a) { return BRUME_LIBM(exp)(a); }, x);
}

/// Beyond the range the result is 0 or infinite; NaN stays.
template <class T, int N>
BRUME_HD Vec<T, N> exp(Vec<T, N> x) {
  using V = Vec<T, N>;
  if constexpr (sizeof(T) == 4) x = max(V(-104), min(V(89), x));
  return exp_in_range(x);
}

/// e^x for x <= 0, as softmax needs it: 0 below -87. The denormals that exp() makes on its way
/// there take a hundred times as long, and a mask hides whole rows.
template <class T, int N>
BRUME_HD Vec<T, N> exp_nonpositive(Vec<T, N> x) {
  using V = Vec<T, N>;
  return select(x < -87, V(0), exp_in_range(max(V(-87), x)));
}

template <int N>
BRUME_HD Vec<float, N> expm1(Vec<float, N> x) {
  using V = Vec<float, N>;
  const V limited = max(V(-30), min(V(89), x));
  const auto [n, p] = exp_parts(limited);
  const V half_scale = power_of_two(convert<int32_t>(n) - 1);  // half: 2^128 does not exist
  const V y = 2 * fma(p, half_scale, half_scale - 0.5);
  return select(abs(x) < 0x1p-24, x, y);
}

/// ln(2^e (1 + f)) for sqrt(1/2) <= 1 + f < sqrt(2).
template <int N>
BRUME_HD Vec<float, N> log_of_parts(Vec<float, N> f, Vec<float, N> e) {
  using V = Vec<float, N>;
  const V z = f * f;
  const V p = polynomial(f, 0x1.555554p-2, -0x1.000228p-2, 0x1.99a036p-3, -0x1.54721p-3,
                         0x1.22d5bep-3, -0x1.0d83b6p-3, 0x1.057c7ep-3, -0x1.3911dep-4);
  const V low = fma(e, V(-0x1.bd0106p-13), fma(z, V(-0.5), f * z * p));
  return fma(e, V(0x1.63p-1), f + low);
}
/// e such that x = 2^e m with sqrt(1/2) <= m < sqrt(2), for normal x > 0.
template <int N>
BRUME_HD Vec<int32_t, N> exponent_around_one(Vec<float, N> x) {
  return (bits_as<int32_t>(x) - 0x3f3504f3) >> 23;
}
/// log and log1p where their argument leaves (0, inf): `y` elsewhere.
template <int N>
BRUME_HD Vec<float, N> log_at_ends(Vec<float, N> x, Vec<float, N> y) {
  using V = Vec<float, N>;
  const V inf(__builtin_inf());
  y = select(x < inf, y, x);  // inf and NaN answer themselves
  return select(x <= 0, select(x == 0, -inf, V(__builtin_nan(""))), y);
}

template <int N>
BRUME_HD Vec<float, N> log(Vec<float, N> x) {
  using V = Vec<float, N>;
  const auto tiny = x < 0x1p-126;
  const V normal = select(tiny, x * 0x1p23, x);
  const auto e = exponent_around_one(normal);
  const V m = bits_as<float>(bits_as<int32_t>(normal) - (e << 23));
  const V shift = select(tiny, V(-23), V(0));
  return log_at_ends(x, log_of_parts(m - 1, convert<float>(e) + shift));
}

template <int N>
BRUME_HD Vec<float, N> log1p(Vec<float, N> x) {
  using V = Vec<float, N>;
  const V u = x + 1;
  const V lost = select(x > 1, 1 - (u - x), x - (u - 1));  // 1 + x = u + lost exactly
  auto e = exponent_around_one(u);
  const V m = bits_as<float>(bits_as<int32_t>(u) - (e << 23));
  const V f = fma(lost, power_of_two(select(e > 126, Vec<int32_t, N>(-126), -e)), m - 1);
  return log_at_ends(u, log_of_parts(f, convert<float>(e)));
}

template <class T, int N>
BRUME_HD Vec<T, N> log2(Vec<T, N> x) {
  return log(x) * 1.4426950408889634;
}
template <class T, int N>
BRUME_HD Vec<T, N> log10(Vec<T, N> x) {
  return log(x) * 0.43429448190325183;
}

template <int N>
BRUME_HD Vec<float, N> tanh(Vec<float, N> x) {
  using V = Vec<float, N>;
  const V e = expm1(2 * min(V(10), abs(x)));
  return copysign(e / (e + 2), x);
}

/// 1 / x for 2^-126 <= |x| <= 2^126, to 1 ulp in f32. With AVX-512 it is an estimate of 14 bits and
/// a Newton step, where a division takes as long as an exponential; older estimates have 12 bits,
/// which one step does not bring to 1 ulp.
template <class T, int N>
BRUME_HD Vec<T, N> reciprocal(Vec<T, N> x) {
#if defined(__AVX512F__) && !defined(__CUDACC__)
  if constexpr (sizeof(T) == 4 && N == 16) {
    Vec<T, N> y;
    y.v = __builtin_ia32_rcp14ps512_mask(x.v, x.v, static_cast<short>(-1));
    return y * fma(-x, y, Vec<T, N>(2));
  } else
#endif
    return 1 / x;
}

template <class T, int N>
BRUME_HD Vec<T, N> sigmoid(Vec<T, N> x) {
  using V = Vec<T, N>;
  // Of the negative side, so that small results keep their bits.
  const V e = exp_in_range(max(V(sizeof(T) == 4 ? -104 : -750), -abs(x)));
  return select(x < 0, e, V(1)) * reciprocal(e + 1);
}
/// The sigmoid within [-87, 87], and what it is there beyond: for a fifth less.
template <class T, int N>
BRUME_HD Vec<T, N> saturating_sigmoid(Vec<T, N> x) {
  using V = Vec<T, N>;
  return reciprocal(exp_in_range(max(V(-87), min(V(87), -x))) + 1);
}

template <class T, int N>
BRUME_HD Vec<T, N> softplus(Vec<T, N> x) {
  return max(Vec<T, N>(0), x) + log1p(exp(-abs(x)));
}

template <int N>
BRUME_HD Vec<float, N> sinh(Vec<float, N> x) {
  using V = Vec<float, N>;
  // e^|x| overflows a little before its half does: beyond 40, (e^(|x|/2))^2 / 2.
  const V a = abs(x), e = expm1(min(V(40), a)), h = exp(0.5 * a);
  return copysign(select(a > 40, 0.5 * h * h, 0.5 * (e + e / (e + 1))), x);
}
template <int N>
BRUME_HD Vec<float, N> cosh(Vec<float, N> x) {
  const Vec<float, N> h = exp(0.5 * abs(x));
  return fma(0.5 * h, h, 0.5 / (h * h));
}
template <int N>
BRUME_HD Vec<float, N> asinh(Vec<float, N> x) {
  using V = Vec<float, N>;
  const V a = abs(x), z = a * a;
  const auto large = a > 0x1p12;
  const V t = select(large, a - 1, a + z / (1 + sqrt(z + 1)));
  return copysign(log1p(t) + select(large, V(0.6931471805599453), V(0)), x);
}
template <int N>
BRUME_HD Vec<float, N> acosh(Vec<float, N> x) {
  using V = Vec<float, N>;
  const V t = select(x < 1, V(__builtin_nan("")), x - 1);
  const auto large = x > 0x1p12;
  return log1p(select(large, t, t + sqrt(t * (t + 2)))) +
         select(large, V(0.6931471805599453), V(0));
}
template <int N>
BRUME_HD Vec<float, N> atanh(Vec<float, N> x) {
  const Vec<float, N> a = abs(x);
  return copysign(0.5 * log1p(2 * a / (1 - a)), x);
}

template <int N>
BRUME_HD Vec<float, N> erf(Vec<float, N> x) {
  using V = Vec<float, N>;
  const V a = abs(x), z = min(V(1), a * a), t = min(V(3.95), a);
  const V small = fma(a,
                      polynomial(z, 0x1.06eba8p-3, -0x1.81273ep-2, 0x1.ce2ce6p-4, -0x1.b7f71ap-6,
                                 0x1.53f224p-8, -0x1.a3515ep-11, 0x1.4771fep-14),
                      a);
  const V large = -expm1(polynomial(t, -0x1.50302p-12, -0x1.208e5p0, -0x1.46a99p-1, -0x1.a6c7f8p-4,
                                    0x1.66a384p-6, -0x1.83fc48p-9, 0x1.896dfp-13));
  return copysign(select(a < 1, small, large), x);
}

// sin and cos. x = n pi/2 + r; pi/2 in three parts, of which the first two times n are exact.
template <int N>
struct Quadrant {
  Vec<int32_t, N> n;
  Vec<float, N> r;
};
constexpr double kLargeAngle = 1024;  // beyond, the three parts are not enough
template <int N>
BRUME_HD Quadrant<N> quadrant(Vec<float, N> x) {
  using V = Vec<float, N>;
  const V magic(0x1.8p23), shifted = fma(x, V(0x1.45f306p-1), magic), n = shifted - magic;
  V r = fma(n, V(-0x1.921p0), x);
  r = fma(n, V(-0x1.f6ap-13), r);
  r = fma(n, V(-0x1.110b46p-26), r);
  return {bits_as<int32_t>(shifted) - bits_as<int32_t>(magic), r};
}
template <int N>
BRUME_HD Vec<float, N> sin_poly(Vec<float, N> r) {
  const auto z = r * r;
  return fma(r * z, polynomial(z, -0x1.555546p-3, 0x1.110774p-7, -0x1.9951eap-13), r);
}
template <int N>
BRUME_HD Vec<float, N> cos_poly(Vec<float, N> r) {
  using V = Vec<float, N>;
  const V z = r * r, p = polynomial(z, 0x1.55554ap-5, -0x1.6c0c28p-10, 0x1.99e80cp-16);
  return fma(z * z, p, fma(z, V(-0.5), V(1)));
}
/// sin(r + n pi/2)
template <int N>
BRUME_HD Vec<float, N> sin_turned(Vec<float, N> r, Vec<int32_t, N> n) {
  using I = Vec<int32_t, N>;
  const auto y = select((n & I(1)) == 0, sin_poly(r), cos_poly(r));
  return bits_as<float>(bits_as<int32_t>(y) ^ ((n & I(2)) << 30));
}
template <int N>
BRUME_HD Vec<float, N> sin(Vec<float, N> x) {
  if (any(abs(x) > kLargeAngle))
    return per_lane([](float a) { return static_cast<float>(BRUME_LIBM(sin)(double{a})); }, x);
  const auto [n, r] = quadrant(x);
  return sin_turned(r, n);
}
template <int N>
BRUME_HD Vec<float, N> cos(Vec<float, N> x) {
  if (any(abs(x) > kLargeAngle))
    return per_lane([](float a) { return static_cast<float>(BRUME_LIBM(cos)(double{a})); }, x);
  const auto [n, r] = quadrant(x);
  return sin_turned(r, n + 1);
}
template <int N>
BRUME_HD Vec<float, N> tan(Vec<float, N> x) {
  if (any(abs(x) > kLargeAngle))
    return per_lane([](float a) { return static_cast<float>(BRUME_LIBM(tan)(double{a})); }, x);
  const auto [n, r] = quadrant(x);
  const auto s = sin_poly(r), c = cos_poly(r);
  const auto even = (n & Vec<int32_t, N>(1)) == 0;
  return select(even, s, -c) / select(even, c, s);
}

/// atan(t), 0 <= t <= 1
template <int N>
BRUME_HD Vec<float, N> atan_below_one(Vec<float, N> t) {
  const auto z = t * t;
  return fma(
      t * z,
      polynomial(z, -0x1.55553ep-2, 0x1.9991e4p-3, -0x1.242084p-3, 0x1.c08c1ap-4, -0x1.580814p-4,
                 0x1.da24cap-5, -0x1.fd6fbcp-6, 0x1.6410e6p-7, -0x1.d32dbcp-10),
      t);
}
constexpr double kHalfPi = 1.5707963267948966;
template <int N>
BRUME_HD Vec<float, N> atan(Vec<float, N> x) {
  const auto a = abs(x);
  const auto steep = a > 1;
  const auto p = atan_below_one(select(steep, 1 / a, a));
  return copysign(select(steep, kHalfPi - p, p), x);
}
template <int N>
BRUME_HD Vec<float, N> atan2(Vec<float, N> y, Vec<float, N> x) {
  using V = Vec<float, N>;
  const V a = abs(x), b = abs(y), zero(0), one(1);
  const auto steep = b > a;
  V t = select(steep, a, b) / select(steep, b, a);
  t = select(a == b, select(a == 0, zero, one), t);  // 0/0 and inf/inf
  V p = atan_below_one(t);
  p = select(steep, kHalfPi - p, p);
  p = select(copysign(one, x) < 0, 2 * kHalfPi - p, p);
  return select((x == x) & (y == y), copysign(p, y), x + y);
}

/// asin(t), 0 <= t <= 1/2
template <int N>
BRUME_HD Vec<float, N> asin_below_half(Vec<float, N> t) {
  const auto z = t * t;
  return fma(
      t * z,
      polynomial(z, 0x1.5555c8p-3, 0x1.3301fcp-4, 0x1.747d06p-5, 0x1.8c2d84p-6, 0x1.596d6p-5), t);
}
template <int N>
BRUME_HD Vec<float, N> asin(Vec<float, N> x) {
  const auto a = abs(x);
  const auto outer = a > 0.5;
  const auto p = asin_below_half(select(outer, sqrt(0.5 * (1 - a)), a));
  return copysign(select(outer, kHalfPi - 2 * p, p), x);
}
template <int N>
BRUME_HD Vec<float, N> acos(Vec<float, N> x) {
  const auto a = abs(x);
  const auto outer = a > 0.5;
  const auto p = asin_below_half(select(outer, sqrt(0.5 * (1 - a)), a));
  const auto inner = kHalfPi - copysign(p, x);
  return select(outer, select(x < 0, 2 * kHalfPi - 2 * p, 2 * p), inner);
}

template <int N>
BRUME_HD Vec<float, N> pow(Vec<float, N> x, Vec<float, N> y) {
  return per_lane([](float a, float b) { return BRUME_LIBM(powf)(a, b); }, x, y);
}
template <int N>
BRUME_HD Vec<float, N> fmod(Vec<float, N> x, Vec<float, N> y) {
  return per_lane([](float a, float b) { return BRUME_LIBM(fmodf)(a, b); }, x, y);
}
template <int N>
BRUME_HD Vec<float, N> lgamma(Vec<float, N> x) {
  return per_lane([](float a) { return static_cast<float>(BRUME_LIBM(lgamma)(double{a})); }, x);
}

// f64: the C library.
#define BRUME_F64_FROM_LIBM(function)                                     \
  template <int N>                                                        \
  BRUME_HD Vec<double, N> function(Vec<double, N> x) {                    \
    return per_lane([](double a) { return BRUME_LIBM(function)(a); }, x); \
  }
BRUME_F64_FROM_LIBM(trunc)
BRUME_F64_FROM_LIBM(floor)
BRUME_F64_FROM_LIBM(ceil)
BRUME_F64_FROM_LIBM(expm1)
BRUME_F64_FROM_LIBM(log)
BRUME_F64_FROM_LIBM(log1p)
BRUME_F64_FROM_LIBM(sin)
BRUME_F64_FROM_LIBM(cos)
BRUME_F64_FROM_LIBM(tan)
BRUME_F64_FROM_LIBM(asin)
BRUME_F64_FROM_LIBM(acos)
BRUME_F64_FROM_LIBM(atan)
BRUME_F64_FROM_LIBM(sinh)
BRUME_F64_FROM_LIBM(cosh)
BRUME_F64_FROM_LIBM(tanh)
BRUME_F64_FROM_LIBM(asinh)
BRUME_F64_FROM_LIBM(acosh)
BRUME_F64_FROM_LIBM(atanh)
BRUME_F64_FROM_LIBM(erf)
BRUME_F64_FROM_LIBM(lgamma)
#undef BRUME_F64_FROM_LIBM
template <int N>
BRUME_HD Vec<double, N> round(Vec<double, N> x) {
  return per_lane([](double a) { return BRUME_LIBM(nearbyint)(a); }, x);
}
#define BRUME_F64_FROM_LIBM(function)                                                     \
  template <int N>                                                                        \
  BRUME_HD Vec<double, N> function(Vec<double, N> x, Vec<double, N> y) {                  \
    return per_lane([](double a, double b) { return BRUME_LIBM(function)(a, b); }, x, y); \
  }
BRUME_F64_FROM_LIBM(atan2)
BRUME_F64_FROM_LIBM(pow)
BRUME_F64_FROM_LIBM(fmod)
#undef BRUME_F64_FROM_LIBM

}  // namespace brume::math::inline BRUME_ISA
