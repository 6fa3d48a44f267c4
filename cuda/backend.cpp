// The CUDA backend: its memory and its tables.

#include <brume/core/backend.h>

#include <brume/cuda/graph.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/lib/conv_library.h>
#include <brume/cuda/lib/fft_library.h>
#include <brume/cuda/lib/gemm_library.h>
#include <brume/cuda/memory.h>
#include <brume/cuda/runtime.h>
#include <brume/cuda/staging.h>

namespace brume {
namespace {

std::string libraries() {
  return cat(cuda::gemm_library_state(), "; ", cuda::conv_library_state(), "; ",
             cuda::fft_library_state());
}

const Backend table{.name = "cuda",
                    .libraries = libraries,
                    .memory = cuda::memory,
                    .make_recording = cuda::make_graph,
                    .make_staging = cuda::make_staging,
                    .pointwise = cuda_pointwise,
                    .reduce = cuda_reduce,
                    .gemm = cuda_gemm,
                    .conv = cuda_conv,
                    .norm = cuda_norm,
                    .attention = cuda_attention,
                    .index = cuda_index,
                    .fft = cuda_fft,
                    .random = cuda_random,
                    .optim = cuda_optim};

}  // namespace

const Backend* cuda_backend(std::string* reason) {
  return cuda::capability(reason) ? &table : nullptr;
}

}  // namespace brume
