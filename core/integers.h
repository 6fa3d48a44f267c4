#pragma once
// Numbers that an integer dtype is given, on any device: constexpr, so that CUDA kernels use them.

#include <cstdint>
#include <type_traits>

#include <brume/core/dtype.h>

namespace brume {

/// A number as an integer: cut off towards zero. What i64 cannot hold, NaN included, is its lowest
/// number; narrower integers keep the low bits. So on every device, in every kernel.
template <class S, class T>
constexpr S to_integer(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    const bool held = x >= T(-0x1p63) && x < T(0x1p63);
    return static_cast<S>(held ? static_cast<int64_t>(x) : INT64_MIN);
  } else {
    return static_cast<S>(x);
  }
}

/// Whether a number has an equal in the dtype, up to rounding; a negative one may wrap around to
/// it.
constexpr bool holds(DType t, double x) {
  switch (t) {
    case DType::i32:
      return x >= -0x1p31 && x < 0x1p31;
    case DType::i64:
      return x >= -0x1p63 && x < 0x1p63;
    case DType::u8:
      return x > -256 && x < 256;
    default:
      return true;
  }
}

}  // namespace brume
