#pragma once
// bf16 and f16 in vectors; the same rounding as the scalar types of core/dtype.h.

#include <brume/core/cpu/simd.h>

namespace brume::math::inline BRUME_ISA {

template <int N>
BRUME_HD Vec<float, N> from_bf16(Vec<uint16_t, N> bits) {
  return bits_as<float>(convert<int32_t>(bits) << 16);
}

template <int N>
BRUME_HD Vec<uint16_t, N> to_bf16(Vec<float, N> x) {
  using I = Vec<int32_t, N>;
  const I u = bits_as<int32_t>(x), high = u >> 16;
  const I nan = high | I(0x40), even = (u + (high & I(1)) + 0x7fff) >> 16;
  return convert<uint16_t>(select(x == x, even, nan));
}

template <int N>
BRUME_HD Vec<float, N> from_f16(Vec<uint16_t, N> bits) {
  using I = Vec<int32_t, N>;
  const I h = convert<int32_t>(bits), sign = (h & I(0x8000)) << 16, wide = (h & I(0x7fff)) << 13;
  const I finite = bits_as<int32_t>(bits_as<float>(wide) * 0x1p112);  // moves the exponent's bias
  return bits_as<float>(select(wide < 0x7c00 << 13, finite, wide | I(0x7f800000)) | sign);
}

template <int N>
BRUME_HD Vec<uint16_t, N> to_f16(Vec<float, N> x) {
  using I = Vec<int32_t, N>;
  const I u = bits_as<int32_t>(x), sign = (u >> 16) & I(0x8000), size = u & I(0x7fffffff);
  const I normal = (size - 0x37fff001 + ((size >> 13) & I(1))) >> 13;
  // Adding 0.5 aligns the mantissa to 2^-24 and rounds.
  const I subnormal = bits_as<int32_t>(bits_as<float>(size) + 0.5) - 0x3f000000;
  const I finite = select(size < 0x38800000, subnormal, normal);
  const I beyond = select(size > 0x7f800000, I(0x7e00) | ((size >> 13) & I(0x3ff)), I(0x7c00));
  return convert<uint16_t>(sign | select(size < 0x477ff000, finite, beyond));
}

}  // namespace brume::math::inline BRUME_ISA
