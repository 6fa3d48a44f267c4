#pragma once
// Family reduce.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct ReduceKernels {};

}  // namespace brume
