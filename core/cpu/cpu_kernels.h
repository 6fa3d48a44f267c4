#pragma once
// The CPU's kernel tables, each defined at the end of its family's file.

#include <brume/core/backend.h>

namespace brume {

extern const PointwiseKernels cpu_pointwise;
extern const ReduceKernels cpu_reduce;
extern const GemmKernels cpu_gemm;
extern const ConvKernels cpu_conv;
extern const NormKernels cpu_norm;
extern const AttentionKernels cpu_attention;
extern const IndexKernels cpu_index;
extern const FftKernels cpu_fft;
extern const RandomKernels cpu_random;
extern const OptimKernels cpu_optim;

extern const Backend cpu_backend;

}  // namespace brume
