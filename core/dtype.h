#pragma once
// Element types, and the one helper that turns a run-time dtype into a compile-time type.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include <brume/core/error.h>

namespace brume {

/// f32 is the working type; f64 serves checks; bf16 and f16 are storage types (sums in f32);
/// the others are indices and masks. Complex values are a trailing axis of 2.
enum class DType : uint8_t { f32, f64, bf16, f16, i32, i64, u8, boolean };

inline constexpr DType kAllDTypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16,
                                       DType::i32, DType::i64, DType::u8,   DType::boolean};

constexpr int64_t item_size(DType t) {
  constexpr int64_t sizes[] = {4, 8, 2, 2, 4, 8, 1, 1};
  return sizes[static_cast<int>(t)];
}
constexpr const char* name(DType t) {
  constexpr const char* names[] = {"f32", "f64", "bf16", "f16", "i32", "i64", "u8", "bool"};
  return names[static_cast<int>(t)];
}
inline std::string to_string(DType t) { return name(t); }
constexpr bool is_floating(DType t) { return static_cast<int>(t) <= static_cast<int>(DType::f16); }
/// A type that numbers are only stored in.
constexpr bool is_half(DType t) { return t == DType::bf16 || t == DType::f16; }
/// The type of sums, places, times and labels beside data of another: half precision, which has too
/// few digits for them, becomes f32.
constexpr DType wide_dtype(DType data) { return is_half(data) ? DType::f32 : data; }

// The half types are constexpr throughout: that is what lets CUDA kernels use them too.

/// Upper half of an f32; conversion rounds to nearest even, NaN stays NaN.
struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  constexpr explicit bf16(float x) {
    const auto u = std::bit_cast<uint32_t>(x);
    const bool nan = (u & 0x7fffffffU) > 0x7f800000U;
    bits = static_cast<uint16_t>(nan ? (u >> 16) | 0x40U : (u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
  }
  constexpr explicit operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

/// IEEE binary16; conversion rounds to nearest even, with subnormals.
struct f16 {
  uint16_t bits = 0;
  f16() = default;
  constexpr explicit f16(float x) {
    const auto u = std::bit_cast<uint32_t>(x);
    const uint32_t sign = (u >> 16) & 0x8000U, mag = u & 0x7fffffffU;
    uint32_t out = 0;
    if (mag > 0x7f800000U) {
      out = 0x7e00U | ((mag >> 13) & 0x3ffU);
    } else if (mag >= 0x477ff000U) {  // rounds beyond the largest finite f16
      out = 0x7c00U;
    } else if (mag >= 0x38800000U) {  // normal
      out = (mag + 0xc8000fffU + ((mag >> 13) & 1U)) >> 13;
    } else {  // subnormal: adding 0.5 aligns the mantissa to 2^-24 and rounds in hardware
      out = std::bit_cast<uint32_t>(std::bit_cast<float>(mag) + 0.5F) - 0x3f000000U;
    }
    bits = static_cast<uint16_t>(sign | out);
  }
  constexpr explicit operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16, mag = bits & 0x7fffU;
    if (mag >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | ((mag & 0x3ffU) << 13));
    if (mag >= 0x0400U) return std::bit_cast<float>(sign | ((mag << 13) + 0x38000000U));
    const float x = static_cast<float>(mag) * 0x1p-24F;
    return sign ? -x : x;
  }
};

template <class T>
struct dtype_of_type;
template <>
struct dtype_of_type<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of_type<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of_type<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of_type<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct dtype_of_type<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of_type<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_of_type<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct dtype_of_type<bool> {
  static constexpr DType value = DType::boolean;
};
template <class T>
inline constexpr DType dtype_of = dtype_of_type<T>::value;

template <class T>
struct Type {
  using type = T;
};

/// Calls f(Type<T>{}) with the element type of `t` if it is one of Ts.
/// @throws DTypeError "who: takes f32 f64, got i64"
template <class... Ts, class F>
void dispatch(DType t, const char* who, F&& f) {
  const bool done = ((t == dtype_of<Ts> ? (f(Type<Ts>{}), true) : false) || ...);
  if (!done) {
    std::string wanted;
    ((wanted += cat(" ", dtype_of<Ts>)), ...);
    throw DTypeError(cat(who, ": takes", wanted, ", got ", t));
  }
}

}  // namespace brume
