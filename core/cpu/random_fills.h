#pragma once
// The inner loops of random fills, compiled once per instruction set (the bits are the same).

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

struct RandomFills {
  // Whole blocks of 4 elements: first .. first + blocks - 1.
  template <class T>
  using Fill = void (*)(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, T* y);
  Fill<float> uniform_f32;
  Fill<double> uniform_f64;
  Fill<float> normal_f32;
  Fill<double> normal_f64;
  // 0 where the element's word is below `limit`, else value.
  void (*mask)(uint64_t seed, uint64_t offset, uint64_t first, int64_t blocks, uint64_t limit,
               float value, float* y);
};
BRUME_ISA_TABLE(RandomFills, random_fills)

}  // namespace brume::cpu
