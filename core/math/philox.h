#pragma once
// Random numbers as pure functions of (seed, offset, element), the same bits on every machine:
// integers, and floating-point steps that are correctly rounded everywhere. Files that include this
// are compiled without contraction of a * b + c.

#include <cstdint>

#include <brume/core/math/target.h>

namespace brume::math::inline BRUME_ISA {

struct Words {
  uint32_t w[4];
};

BRUME_HD uint32_t high_product(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32);
}

/// Four words that depend on every bit of (seed, offset, block).
/// @source Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3 (Philox 4x32-10)
BRUME_HD Words philox(uint64_t seed, uint64_t offset, uint64_t block) {
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  uint32_t a = static_cast<uint32_t>(block), b = static_cast<uint32_t>(block >> 32);
  uint32_t c = static_cast<uint32_t>(offset), d = static_cast<uint32_t>(offset >> 32);
  BRUME_UNROLL
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = high_product(0xD2511F53U, a), low0 = 0xD2511F53U * a;
    const uint32_t high1 = high_product(0xCD9E8D57U, c), low1 = 0xCD9E8D57U * c;
    a = high1 ^ b ^ k0;
    b = low1;
    c = high0 ^ d ^ k1;
    d = low0;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {{a, b, c, d}};
}

/// The block that extends element block `block` to 64-bit draws.
constexpr uint64_t kLowWords = uint64_t{1} << 63;

// Single roundings that no compiler may join.
#ifdef __CUDA_ARCH__
BRUME_HD float times(float a, float b) { return __fmul_rn(a, b); }
BRUME_HD float plus(float a, float b) { return __fadd_rn(a, b); }
BRUME_HD float over(float a, float b) { return __fdiv_rn(a, b); }
BRUME_HD float root(float a) { return __fsqrt_rn(a); }
BRUME_HD double times(double a, double b) { return __dmul_rn(a, b); }
BRUME_HD double plus(double a, double b) { return __dadd_rn(a, b); }
BRUME_HD double over(double a, double b) { return __ddiv_rn(a, b); }
BRUME_HD double root(double a) { return __dsqrt_rn(a); }
#else
BRUME_HD float times(float a, float b) { return a * b; }
BRUME_HD float plus(float a, float b) { return a + b; }
BRUME_HD float over(float a, float b) { return a / b; }
BRUME_HD float root(float a) { return __builtin_sqrtf(a); }
BRUME_HD double times(double a, double b) { return a * b; }
BRUME_HD double plus(double a, double b) { return a + b; }
BRUME_HD double over(double a, double b) { return a / b; }
BRUME_HD double root(double a) { return __builtin_sqrt(a); }
#endif

/// How a floating type is drawn: `Draw` holds the random bits of one number.
template <class T>
struct Drawn;
template <>
struct Drawn<float> {
  using Draw = uint32_t;
  using Signed = int32_t;
  static constexpr int kBits = 32, kMantissa = 23, kUniformBits = 24;
  static constexpr uint32_t kRootHalf = 0x3f3504f3U;  // bits of sqrt(1/2)
  static constexpr int kLogTerms = 5, kSineTerms = 5;
};
template <>
struct Drawn<double> {
  using Draw = uint64_t;
  using Signed = int64_t;
  static constexpr int kBits = 64, kMantissa = 52, kUniformBits = 53;
  static constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcdU;
  static constexpr int kLogTerms = 12, kSineTerms = 10;
};

/// Uniform on [0, 1): a multiple of 2^-24 (f64: 2^-53).
template <class T>
BRUME_HD T uniform_from(typename Drawn<T>::Draw bits) {
  constexpr int kUsed = Drawn<T>::kUniformBits;
  const auto top = static_cast<typename Drawn<T>::Signed>(bits >> (Drawn<T>::kBits - kUsed));
  return times(static_cast<T>(top), T(1) / static_cast<T>(int64_t{1} << kUsed));
}

/// -2 log(u) for the u in (0, 1] that the bits stand for.
template <class T>
BRUME_HD T minus_two_log(typename Drawn<T>::Draw bits) {
  using D = Drawn<T>;
  using Draw = typename D::Draw;
  using Signed = typename D::Signed;
  constexpr T kStep = T(1) / (T(2) * static_cast<T>(Draw(1) << (D::kBits - 2)));  // 2^-31, 2^-63
  const T u = plus(times(static_cast<T>(static_cast<Signed>(bits >> 1)), kStep), kStep / 2);
  // u = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)).
  const Draw raw = __builtin_bit_cast(Draw, u);
  const Signed e = static_cast<Signed>(raw - D::kRootHalf) >> D::kMantissa;
  const T m =
      __builtin_bit_cast(T, static_cast<Draw>(raw - (static_cast<Draw>(e) << D::kMantissa)));
  const T s = over(plus(m, T(-1)), plus(m, T(1)));
  const T q = times(s, s);
  T series = T(0);
  BRUME_UNROLL
  for (int k = D::kLogTerms; k > 0; --k)
    series = times(plus(series, T(1) / static_cast<T>(2 * k + 1)), q);
  const T log_m = times(T(-4), plus(s, times(s, series)));
  return plus(times(static_cast<T>(e), T(-1.3862943611198906188)), log_m);  // -2 log 2
}

template <class T>
struct Pair {
  T a, b;
};

/// cos and sin of 2 pi bits / 2^(number of bits): the quadrant is taken off exactly.
template <class T>
BRUME_HD Pair<T> turn(typename Drawn<T>::Draw bits) {
  using D = Drawn<T>;
  using Draw = typename D::Draw;
  constexpr Draw kEighth = Draw(1) << (D::kBits - 3);
  constexpr T kRadians = T(1.5707963267948966192) / static_cast<T>(Draw(1) << (D::kBits - 2));
  const Draw quadrant = static_cast<Draw>(bits + kEighth) >> (D::kBits - 2);
  const auto rest = static_cast<typename D::Signed>(bits - (quadrant << (D::kBits - 2)));
  const T x = times(static_cast<T>(rest), kRadians);  // in [-pi/4, pi/4]
  const T q = times(x, x);
  T sine = T(1), cosine = T(1);
  BRUME_UNROLL
  for (int k = D::kSineTerms - 1; k > 0; --k)
    sine = plus(T(1), times(times(q, T(-1) / static_cast<T>(2 * k * (2 * k + 1))), sine));
  BRUME_UNROLL
  for (int k = D::kSineTerms; k > 0; --k)
    cosine = plus(T(1), times(times(q, T(-1) / static_cast<T>(2 * k * (2 * k - 1))), cosine));
  sine = times(x, sine);
  const T across = (quadrant & 1) != 0 ? sine : cosine;
  const T up = (quadrant & 1) != 0 ? cosine : sine;
  return {((quadrant + 1) & 2) != 0 ? -across : across, (quadrant & 2) != 0 ? -up : up};
}

/// Two independent standard normal numbers.
/// @source Box and Muller 1958
template <class T>
BRUME_HD Pair<T> normal_from(typename Drawn<T>::Draw radius, typename Drawn<T>::Draw angle) {
  const T r = root(minus_two_log<T>(radius));
  const Pair<T> direction = turn<T>(angle);
  return {times(r, direction.a), times(r, direction.b)};
}

/// Uniform on [0, n): the upper half of a 128-bit product (bias below n / 2^64).
BRUME_HD uint64_t below(uint64_t n, uint64_t bits) {
  const uint64_t n0 = static_cast<uint32_t>(n), n1 = n >> 32;
  const uint64_t b0 = static_cast<uint32_t>(bits), b1 = bits >> 32;
  const uint64_t middle =
      ((n0 * b0) >> 32) + static_cast<uint32_t>(n1 * b0) + static_cast<uint32_t>(n0 * b1);
  return n1 * b1 + ((n1 * b0) >> 32) + ((n0 * b1) >> 32) + (middle >> 32);
}

}  // namespace brume::math::inline BRUME_ISA
