#pragma once
// Numbers as elements of a dtype, and back.

#include <cstdint>
#include <type_traits>

#include <brume/core/integers.h>

namespace brume::cpu {

template <class S>
inline constexpr bool kIsHalf = std::is_same_v<S, bf16> || std::is_same_v<S, f16>;

/// An element's value; the 16-bit ones have theirs in f32.
template <class T, class S>
T number(S x) {
  if constexpr (kIsHalf<S>)
    return static_cast<T>(static_cast<float>(x));
  else
    return static_cast<T>(x);
}

/// A number as an element: not 0 for a boolean, rounded for the 16-bit ones, to_integer() for
/// integers.
template <class S, class T>
S element(T x) {
  if constexpr (std::is_same_v<S, bool>)
    return x != 0;
  else if constexpr (kIsHalf<S>)
    return S(static_cast<float>(x));
  else if constexpr (std::is_integral_v<S>)
    return to_integer<S>(x);
  else
    return static_cast<S>(x);
}

}  // namespace brume::cpu
