#pragma once
// Stands in for the CUDA toolkit's header of this name: the part of the runtime API that brume
// uses, answered by the emulator. Streams run at once, so every ordering that a program may rely on
// holds; what is missing of the API is missing on purpose, so that its use shows when compiling.

#include <cstddef>
#include <type_traits>
#include <utility>

#include <brume/cuda/emu/language.h>

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNotReady = 600,
  cudaErrorLaunchFailure = 719
};
const char* cudaGetErrorName(cudaError_t error);
/// For cudaErrorLaunchFailure: what was wrong with this thread's last launch.
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();

struct CUstream_st;
struct CUevent_st;
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;

constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;

enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);

enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice
};
cudaError_t cudaMallocAsync(void** data, size_t bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* data, cudaStream_t stream);
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* data, int byte, size_t bytes, cudaStream_t stream);

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

namespace brume::cuda::emu {

cudaError_t set_shared_limit(const void* kernel, int bytes);
cudaError_t launch(const void* kernel, void (*body)(void*), void* context, dim3 grid, dim3 block,
                   size_t shared_bytes);

template <class... P, size_t... I>
void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cvref_t<P>*>(arguments[I])...);
}

}  // namespace brume::cuda::emu

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  return brume::cuda::emu::set_shared_limit(reinterpret_cast<const void*>(kernel), bytes);
}

/// Every thread calls the kernel with copies of the arguments.
template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** arguments,
                             size_t shared_bytes, cudaStream_t) {
  struct Call {
    void (*kernel)(P...);
    void** arguments;
  } context{kernel, arguments};
  const auto body = [](void* c) {
    const Call& call = *static_cast<Call*>(c);
    brume::cuda::emu::call(call.kernel, call.arguments, std::index_sequence_for<P...>());
  };
  return brume::cuda::emu::launch(reinterpret_cast<const void*>(kernel), body, &context, grid,
                                  block, shared_bytes);
}
