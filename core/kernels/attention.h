#pragma once
// Family attention.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct AttentionKernels {};

}  // namespace brume
