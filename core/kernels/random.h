#pragma once
// Family random: element i of y (row-major) is draw i of `from`, as core/math/philox.h has it; the
// same bits on every device.

#include <brume/core/kernels/kernel.h>
#include <brume/core/random.h>

namespace brume {

struct RandomKernels {
  Kernel<"uniform", void(const Draws& from, const View& y)> uniform{};  // f32 f64
  Kernel<"normal", void(const Draws& from, const View& y)> normal{};    // f32 f64
  // i64 in [low, high)
  Kernel<"integers", void(const Draws& from, int64_t low, int64_t high, const View& y)> integers{};
  // 0 with probability p, else value; the same elements in every dtype (f32 f64).
  Kernel<"dropout_mask", void(const Draws& from, double p, double value, const View& y)>
      dropout_mask{};
};

}  // namespace brume
