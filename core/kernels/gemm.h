#pragma once
// Family gemm.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct GemmKernels {};

}  // namespace brume
