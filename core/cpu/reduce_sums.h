#pragma once
// The inner loops of f32 sums, compiled once per instruction set.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

struct ReduceSums {
  // Sum of n floats: 64 lanes over blocks of 1,024, a tree over the lanes, blocks added in f64.
  double (*row)(const float* x, int64_t n);
  // out[c] += sum over r of x[r * stride + c]: trees of 8 rows, blocks of 64 rows added in f64.
  void (*columns)(const float* x, int64_t rows, int64_t stride, int64_t columns, double* out);
};
BRUME_ISA_TABLE(ReduceSums, reduce_sums)

}  // namespace brume::cpu
