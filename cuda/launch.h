#pragma once
// The one way to start a kernel.

#include <cuda_runtime.h>

#include <type_traits>
#include <utility>

#include <brume/core/recording.h>
#include <brume/cuda/runtime.h>

namespace brume::cuda {

/// Starts kernel(args...) on grid x block threads with `shared_bytes` of dynamic shared memory per
/// block. An empty grid is no work, and before a replay only the kernels' numbers are renewed.
/// @throws CudaError naming the stream's op if the launch is refused
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            A&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const Recording* const recording = Recording::current();
  if (recording && recording->phase() == Recording::Phase::renewing) return;
  constexpr size_t kWithoutAsking = 48 << 10;
  if (shared_bytes > kWithoutAsking)
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared_bytes)),
               stream.op);
  [&](std::remove_cv_t<P>... values) {  // converted to what the kernel takes
    void* pointers[] = {&values..., nullptr};
    const int error = cudaLaunchKernel(kernel, grid, block, pointers, shared_bytes, stream.handle);
    check_launch(error, stream, grid.x * grid.y * grid.z, block.x * block.y * block.z);
  }(std::forward<A>(args)...);
}

}  // namespace brume::cuda
