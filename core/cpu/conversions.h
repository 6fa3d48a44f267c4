#pragma once
// Contiguous rows between f32 and the storage types narrower than it, per instruction set. Included
// by files that are compiled per instruction set, so there is nothing but data here.

#include <cstdint>

namespace brume::cpu {

struct Conversions {
  void (*to_f32)(const void* from, int64_t n, float* to);
  void (*from_f32)(const float* from, int64_t n, void* to);
};

struct ConversionTable {
  Conversions bf16, f16, u8, boolean;
};

}  // namespace brume::cpu
