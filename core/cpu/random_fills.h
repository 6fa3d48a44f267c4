#pragma once
// The inner loops of random fills, compiled once per instruction set (the bits are the same).

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

struct RandomFills {
  // Whole blocks of 4 elements: first .. first + blocks - 1.
  void (*uniform)(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, float* y);
  void (*normal)(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, float* y);
  // 0 where the element's word is below `limit`, else value.
  void (*mask)(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, uint64_t limit,
               float value, float* y);
};
BRUME_ISA_TABLE(RandomFills, random_fills)

}  // namespace brume::cpu
