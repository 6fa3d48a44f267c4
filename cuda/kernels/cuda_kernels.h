#pragma once
// The CUDA kernel tables, each defined at the end of its family's file.

#include <brume/core/backend.h>

namespace brume {

extern const PointwiseKernels cuda_pointwise;
extern const ReduceKernels cuda_reduce;
extern const GemmKernels cuda_gemm;
extern const ConvKernels cuda_conv;
extern const NormKernels cuda_norm;
extern const AttentionKernels cuda_attention;
extern const IndexKernels cuda_index;
extern const FftKernels cuda_fft;
extern const RandomKernels cuda_random;
extern const OptimKernels cuda_optim;

}  // namespace brume
