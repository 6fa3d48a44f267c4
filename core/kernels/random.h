#pragma once
// Family random: element i of y (row-major) is draw i of (seed, offset), as core/math/philox.h has
// it; the same bits on every device.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct RandomKernels {
  Kernel<"uniform", void(uint64_t seed, uint64_t offset, const View& y)> uniform{};  // f32 f64
  Kernel<"normal", void(uint64_t seed, uint64_t offset, const View& y)> normal{};    // f32 f64
  // i64 in [low, high)
  Kernel<"integers", void(uint64_t seed, uint64_t offset, int64_t low, int64_t high, const View& y)>
      integers{};
  // 0 with probability p, else value; the same elements in every dtype (f32 f64).
  Kernel<"dropout_mask",
         void(uint64_t seed, uint64_t offset, double p, double value, const View& y)>
      dropout_mask{};
};

}  // namespace brume
