#pragma once
// Vec<T, N>: N numbers that are computed with at once. Over compiler vector extensions, so one text
// serves every instruction set; N = 1 is a plain number, which is what a GPU thread holds.
//
// Each operation is one expression: a * b + c inside fma() becomes one instruction where the target
// has it, and two otherwise.

#include <cstdint>

#include <brume/core/math/target.h>

namespace brume::math::inline BRUME_ISA {

// The compiler's vector types, named one by one: GCC 12 drops a vector_size that depends on a
// template parameter of the same class.
template <class T, int N>
struct NativeVector;
template <class T>
struct NativeVector<T, 1> {
  using type = T;
};
#ifndef __CUDACC__
#define BRUME_NATIVE_VECTOR(T, N)                               \
  template <>                                                   \
  struct NativeVector<T, N> {                                   \
    typedef T type __attribute__((vector_size(N * sizeof(T)))); \
  };
BRUME_NATIVE_VECTOR(float, 4)
BRUME_NATIVE_VECTOR(float, 8)
BRUME_NATIVE_VECTOR(float, 16)
BRUME_NATIVE_VECTOR(double, 2)
BRUME_NATIVE_VECTOR(double, 4)
BRUME_NATIVE_VECTOR(double, 8)
BRUME_NATIVE_VECTOR(int32_t, 4)
BRUME_NATIVE_VECTOR(int32_t, 8)
BRUME_NATIVE_VECTOR(int32_t, 16)
BRUME_NATIVE_VECTOR(int64_t, 2)
BRUME_NATIVE_VECTOR(int64_t, 4)
BRUME_NATIVE_VECTOR(int64_t, 8)
BRUME_NATIVE_VECTOR(uint32_t, 4)
BRUME_NATIVE_VECTOR(uint32_t, 8)
BRUME_NATIVE_VECTOR(uint32_t, 16)
BRUME_NATIVE_VECTOR(uint64_t, 2)
BRUME_NATIVE_VECTOR(uint64_t, 4)
BRUME_NATIVE_VECTOR(uint64_t, 8)
BRUME_NATIVE_VECTOR(uint8_t, 4)
BRUME_NATIVE_VECTOR(uint8_t, 8)
BRUME_NATIVE_VECTOR(uint8_t, 16)
BRUME_NATIVE_VECTOR(int16_t, 4)
BRUME_NATIVE_VECTOR(int16_t, 8)
BRUME_NATIVE_VECTOR(int16_t, 16)
BRUME_NATIVE_VECTOR(uint16_t, 4)
BRUME_NATIVE_VECTOR(uint16_t, 8)
BRUME_NATIVE_VECTOR(uint16_t, 16)
#undef BRUME_NATIVE_VECTOR
#endif

// What T's sums are taken in: lanes whose result is not used may overflow, so integers wrap.
template <class T>
struct WrappingInteger {
  using type = T;
};
template <>
struct WrappingInteger<int32_t> {
  using type = uint32_t;
};
template <>
struct WrappingInteger<int64_t> {
  using type = uint64_t;
};

template <int kBytes>
struct SignedInteger;
template <>
struct SignedInteger<2> {
  using type = int16_t;
};
template <>
struct SignedInteger<4> {
  using type = int32_t;
};
template <>
struct SignedInteger<8> {
  using type = int64_t;
};
template <int kBytes>
using BitsOf = typename SignedInteger<kBytes>::type;

template <class To, class From>
BRUME_HD To bit_copy(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

template <class Native>
BRUME_HD Native native_min(Native a, Native b) {
  return a < b ? a : b;
}
template <class Native>
BRUME_HD Native native_max(Native a, Native b) {
  return a > b ? a : b;
}
// GCC 12 makes a comparison and a blend of these; the instruction does just that.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && defined(__x86_64__)
#define BRUME_NATIVE_MIN_MAX(T, N, suffix, ...)                                                \
  BRUME_HD typename NativeVector<T, N>::type native_min(typename NativeVector<T, N>::type a,   \
                                                        typename NativeVector<T, N>::type b) { \
    return __builtin_ia32_min##suffix(a, b __VA_OPT__(, ) __VA_ARGS__);                        \
  }                                                                                            \
  BRUME_HD typename NativeVector<T, N>::type native_max(typename NativeVector<T, N>::type a,   \
                                                        typename NativeVector<T, N>::type b) { \
    return __builtin_ia32_max##suffix(a, b __VA_OPT__(, ) __VA_ARGS__);                        \
  }
BRUME_NATIVE_MIN_MAX(float, 4, ps)
BRUME_NATIVE_MIN_MAX(double, 2, pd)
#ifdef __AVX__
BRUME_NATIVE_MIN_MAX(float, 8, ps256)
BRUME_NATIVE_MIN_MAX(double, 4, pd256)
#endif
#ifdef __AVX512F__
BRUME_NATIVE_MIN_MAX(float, 16, ps512_mask, a, -1, 4)
BRUME_NATIVE_MIN_MAX(double, 8, pd512_mask, a, -1, 4)
#endif
#undef BRUME_NATIVE_MIN_MAX
#endif

/// The answer to a comparison: one truth value per lane, kept in kBytes each.
template <int kBytes, int N>
struct Mask {
  using Native = decltype(typename NativeVector<BitsOf<kBytes>, N>::type{} <
                          typename NativeVector<BitsOf<kBytes>, N>::type{});
  Native m;

  friend BRUME_HD Mask operator&(Mask a, Mask b) { return {static_cast<Native>(a.m & b.m)}; }
  friend BRUME_HD Mask operator|(Mask a, Mask b) { return {static_cast<Native>(a.m | b.m)}; }
  friend BRUME_HD Mask operator^(Mask a, Mask b) { return {static_cast<Native>(a.m ^ b.m)}; }
  friend BRUME_HD Mask operator!(Mask a) {
    if constexpr (N == 1)
      return {!a.m};
    else
      return {~a.m};
  }
  /// Whether it holds in some lane.
  friend BRUME_HD bool any(Mask a) {
    if constexpr (N == 1) {
      return a.m;
    } else {
      constexpr int kWords = static_cast<int>(sizeof(Native) / 8);
      int64_t words[kWords], all = 0;
      __builtin_memcpy(words, &a.m, sizeof words);
      BRUME_UNROLL
      for (int i = 0; i < kWords; ++i) all |= words[i];
      return all != 0;
    }
  }
};

template <class T, int N>
struct Vec {
  using Element = T;
  using Native = typename NativeVector<T, N>::type;
  using Wrapping = typename NativeVector<typename WrappingInteger<T>::type, N>::type;
  using Mask = math::Mask<sizeof(T), N>;
  static constexpr int kLanes = N;
  Native v;

  Vec() = default;
  BRUME_HD explicit Vec(Native native) requires(N > 1) : v(native) {}
  // Subtracting zero keeps the sign of a zero; compilers make it one broadcast.
  BRUME_HD explicit Vec(T x) : v(x - Native{}) {}
  template <class S>
  requires(__is_same(S, int) || __is_same(S, double)) BRUME_HD explicit Vec(S x)
      : Vec(static_cast<T>(x)) {}

  static BRUME_HD Vec load(const T* from) {
    Vec x;
    __builtin_memcpy(&x.v, from, sizeof x.v);
    return x;
  }
  BRUME_HD void store(T* to) const { __builtin_memcpy(to, &v, sizeof v); }
  /// The first n lanes from memory, zeros behind; nothing else is read.
  static BRUME_HD Vec load_padded(const T* from, int n) {
    T lanes[N] = {};
    __builtin_memcpy(lanes, from, sizeof(T) * static_cast<unsigned>(n));
    return load(lanes);
  }
  BRUME_HD void store_padded(T* to, int n) const {
    T lanes[N];
    store(lanes);
    __builtin_memcpy(to, lanes, sizeof(T) * static_cast<unsigned>(n));
  }

  friend BRUME_HD Vec operator-(Vec a) { return make((Native) - (Wrapping)a.v); }
  friend BRUME_HD Vec operator+(Vec a, Vec b) {
    return make((Native)((Wrapping)a.v + (Wrapping)b.v));
  }
  friend BRUME_HD Vec operator-(Vec a, Vec b) {
    return make((Native)((Wrapping)a.v - (Wrapping)b.v));
  }
  friend BRUME_HD Vec operator*(Vec a, Vec b) {
    return make((Native)((Wrapping)a.v * (Wrapping)b.v));
  }
  friend BRUME_HD Vec operator/(Vec a, Vec b) { return make(a.v / b.v); }
  // A number beside a vector is every lane.
  friend BRUME_HD Vec operator+(Vec a, double b) { return a + Vec(b); }
  friend BRUME_HD Vec operator+(double a, Vec b) { return Vec(a) + b; }
  friend BRUME_HD Vec operator-(Vec a, double b) { return a - Vec(b); }
  friend BRUME_HD Vec operator-(double a, Vec b) { return Vec(a) - b; }
  friend BRUME_HD Vec operator*(Vec a, double b) { return a * Vec(b); }
  friend BRUME_HD Vec operator*(double a, Vec b) { return Vec(a) * b; }
  friend BRUME_HD Vec operator/(Vec a, double b) { return a / Vec(b); }
  friend BRUME_HD Vec operator/(double a, Vec b) { return Vec(a) / b; }

  friend BRUME_HD Vec operator&(Vec a, Vec b) { return make(a.v & b.v); }
  friend BRUME_HD Vec operator|(Vec a, Vec b) { return make(a.v | b.v); }
  friend BRUME_HD Vec operator^(Vec a, Vec b) { return make(a.v ^ b.v); }
  friend BRUME_HD Vec operator~(Vec a) { return make(~a.v); }
  friend BRUME_HD Vec operator<<(Vec a, int n) { return make(a.v << n); }
  friend BRUME_HD Vec operator>>(Vec a, int n) { return make(a.v >> n); }

  friend BRUME_HD Mask operator<(Vec a, Vec b) { return {a.v < b.v}; }
  friend BRUME_HD Mask operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  friend BRUME_HD Mask operator>(Vec a, Vec b) { return {a.v > b.v}; }
  friend BRUME_HD Mask operator>=(Vec a, Vec b) { return {a.v >= b.v}; }
  friend BRUME_HD Mask operator==(Vec a, Vec b) { return {a.v == b.v}; }
  friend BRUME_HD Mask operator!=(Vec a, Vec b) { return {a.v != b.v}; }
  friend BRUME_HD Mask operator<(Vec a, double b) { return a < Vec(b); }
  friend BRUME_HD Mask operator<=(Vec a, double b) { return a <= Vec(b); }
  friend BRUME_HD Mask operator>(Vec a, double b) { return a > Vec(b); }
  friend BRUME_HD Mask operator>=(Vec a, double b) { return a >= Vec(b); }
  friend BRUME_HD Mask operator==(Vec a, double b) { return a == Vec(b); }
  friend BRUME_HD Mask operator!=(Vec a, double b) { return a != Vec(b); }

  /// a where the mask holds, else b.
  friend BRUME_HD Vec select(Mask m, Vec a, Vec b) { return make(m.m ? a.v : b.v); }
  /// a * b + c
  friend BRUME_HD Vec fma(Vec a, Vec b, Vec c) { return make(a.v * b.v + c.v); }
  /// The second operand where one is NaN, as the instruction does it.
  friend BRUME_HD Vec min(Vec a, Vec b) { return make(native_min(a.v, b.v)); }
  friend BRUME_HD Vec max(Vec a, Vec b) { return make(native_max(a.v, b.v)); }
  friend BRUME_HD Vec sqrt(Vec a) {
    const auto root = [](T x) -> T {
      if constexpr (sizeof(T) == 4)
        return __builtin_sqrtf(x);
      else
        return __builtin_sqrt(x);
    };
    if constexpr (N == 1) {
      return make(root(a.v));
    } else {
      Vec y;
      BRUME_UNROLL
      for (int i = 0; i < N; ++i) y.v[i] = root(a.v[i]);
      return y;
    }
  }

  BRUME_HD T operator[](int lane) const {
    T lanes[N];
    store(lanes);
    return lanes[lane];
  }

 private:
  static BRUME_HD Vec make(Native native) {
    Vec x;
    x.v = native;
    return x;
  }
};

/// The widest vector of this target.
template <class T>
using Wide = Vec<T, BRUME_VECTOR_BYTES / static_cast<int>(sizeof(T))>;

/// f of each lane by itself, in a loop: for functions that take far longer than the loop.
template <class T, int N, class F, class... More>
BRUME_HD Vec<T, N> per_lane(F f, Vec<T, N> x, More... more) {
  if constexpr (N == 1) {
    return Vec<T, N>(f(x.v, more.v...));
  } else {
    T y[N];
    BRUME_KEEP_LOOP
    for (int i = 0; i < N; ++i) y[i] = f(x.v[i], more.v[i]...);
    return Vec<T, N>::load(y);
  }
}

/// The value of each lane, rounded towards zero if U is an integer.
template <class U, class T, int N>
BRUME_HD Vec<U, N> convert(Vec<T, N> x) {
  Vec<U, N> y;
  if constexpr (N == 1) {
    y.v = static_cast<U>(x.v);
  } else {
#ifndef __CUDACC__
    y.v = __builtin_convertvector(x.v, typename Vec<U, N>::Native);
#endif
  }
  return y;
}

/// The same bits as lanes of another type of that size.
template <class U, class T, int N>
BRUME_HD Vec<U, N> bits_as(Vec<T, N> x) {
  Vec<U, N> y;
  y.v = bit_copy<typename Vec<U, N>::Native>(x.v);
  return y;
}

/// Lanes folded pairwise, halves first: the same order always.
template <class T, int N, class F>
BRUME_HD T fold(Vec<T, N> x, F f) {
  if constexpr (N == 1) {
    return x.v;
  } else if constexpr (sizeof x > 16) {
    Vec<T, N / 2> half[2];
    __builtin_memcpy(half, &x.v, sizeof half);
    return fold(f(half[0], half[1]), f);
  } else if constexpr (N == 4) {
    using One = Vec<T, 1>;
    return f(f(One(x.v[0]), One(x.v[2])), f(One(x.v[1]), One(x.v[3]))).v;
  } else {
    return f(Vec<T, 1>(x.v[0]), Vec<T, 1>(x.v[1])).v;
  }
}
template <class T, int N>
BRUME_HD T sum(Vec<T, N> x) {
  return fold(x, [](auto a, auto b) { return a + b; });
}
template <class T, int N>
BRUME_HD T largest(Vec<T, N> x) {
  return fold(x, [](auto a, auto b) { return max(a, b); });
}

}  // namespace brume::math::inline BRUME_ISA
