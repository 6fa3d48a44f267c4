#pragma once
// Family index.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct IndexKernels {};

}  // namespace brume
