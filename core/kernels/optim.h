#pragma once
// Family optim.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct OptimKernels {};

}  // namespace brume
