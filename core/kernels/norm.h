#pragma once
// Family norm.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct NormKernels {};

}  // namespace brume
