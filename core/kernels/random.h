#pragma once
// Family random.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct RandomKernels {};

}  // namespace brume
