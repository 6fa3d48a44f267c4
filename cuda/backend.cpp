// The CUDA backend: its memory, and the families that have kernels so far. An empty slot answers
// "no kernel on this device".

#include <brume/core/backend.h>

#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/memory.h>
#include <brume/cuda/runtime.h>

namespace brume {
namespace {

const GemmKernels no_gemm{};
const ConvKernels no_conv{};
const AttentionKernels no_attention{};
const IndexKernels no_index{};
const FftKernels no_fft{};

const Backend table{.name = "cuda",
                    .memory = cuda::memory,
                    .pointwise = cuda_pointwise,
                    .reduce = cuda_reduce,
                    .gemm = no_gemm,
                    .conv = no_conv,
                    .norm = cuda_norm,
                    .attention = no_attention,
                    .index = no_index,
                    .fft = no_fft,
                    .random = cuda_random,
                    .optim = cuda_optim};

}  // namespace

const Backend* cuda_backend(std::string* reason) {
  return cuda::capability(reason) ? &table : nullptr;
}

}  // namespace brume
