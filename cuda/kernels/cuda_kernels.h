#pragma once
// The CUDA kernel tables, each defined at the end of its family's file.

#include <brume/core/backend.h>

namespace brume {

extern const PointwiseKernels cuda_pointwise;

}  // namespace brume
