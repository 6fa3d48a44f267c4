#pragma once
// Family conv.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct ConvKernels {};

}  // namespace brume
