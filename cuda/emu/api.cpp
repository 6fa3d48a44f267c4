// The runtime API of cuda_runtime.h, answered by the emulator.

#include <cuda_runtime.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <brume/core/error.h>
#include <brume/cuda/emu/api.h>
#include <brume/cuda/emu/control.h>
#include <brume/cuda/emu/device_memory.h>
#include <brume/cuda/emu/stream.h>

namespace {

using namespace brume::cuda;
using emu::answer;

// An H200 in what kernels can ask for.
constexpr int kMajor = 9, kMinor = 0, kMultiprocessors = 132;
constexpr int kDefaultSharedBytes = 48 << 10, kMostSharedBytes = 227 << 10;
constexpr unsigned kMostThreads = 1024, kMostInYZ = 65535, kMostInX = 0x7fffffffU;

thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_failure;

struct Words {
  cudaError_t error;
  const char *name, *text;
};
constexpr Words kWords[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable",
     "CUDA-capable device(s) is/are busy or unavailable"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
};

const Words& words_of(cudaError_t error) {
  static constexpr Words kUnknown{cudaSuccess, "unknown error", "unrecognized error code"};
  for (const Words& words : kWords)
    if (words.error == error) return words;
  return kUnknown;
}

std::mutex limits_mutex;
std::map<const void*, int> shared_limits;  // of kernels that asked for more than the default

int shared_limit(const void* kernel) {
  const std::scoped_lock lock(limits_mutex);
  const auto found = shared_limits.find(kernel);
  return found == shared_limits.end() ? kDefaultSharedBytes : found->second;
}

bool is_possible(dim3 grid, dim3 block) {
  const auto threads = uint64_t{block.x} * block.y * block.z;
  return grid.x > 0 && grid.y > 0 && grid.z > 0 && threads > 0 && threads <= kMostThreads &&
         block.z <= 64 && grid.x <= kMostInX && grid.y <= kMostInYZ && grid.z <= kMostInYZ;
}

}  // namespace

namespace brume::cuda::emu {

cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t set_shared_limit(const void* kernel, int bytes) {
  if (bytes < 0 || bytes > kMostSharedBytes) return answer(cudaErrorInvalidValue);
  const std::scoped_lock lock(limits_mutex);
  shared_limits[kernel] = bytes > kDefaultSharedBytes ? bytes : kDefaultSharedBytes;
  return cudaSuccess;
}

cudaError_t launch(const void* kernel, std::function<void()> thread, dim3 grid, dim3 block,
                   size_t shared_bytes, cudaStream_t stream) {
  if (const cudaError_t error = planned("cudaLaunchKernel")) return error;
  const auto limit = static_cast<size_t>(shared_limit(kernel));
  if (!is_possible(grid, block)) return answer(cudaErrorInvalidConfiguration);
  if (shared_bytes > limit) return answer(cudaErrorInvalidValue);
  return give(stream, [=, thread = std::move(thread)]() mutable {
    try {
      run({[](void* context) { (*static_cast<std::function<void()>*>(context))(); },
           &thread,
           {grid.x, grid.y, grid.z},
           {block.x, block.y, block.z},
           shared_bytes,
           limit});
    } catch (const Error& error) {
      last_failure = error.what();
      return answer(cudaErrorLaunchFailure);
    }
    return cudaSuccess;
  });
}

}  // namespace brume::cuda::emu

const char* cudaGetErrorName(cudaError_t error) { return words_of(error).name; }

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorLaunchFailure ? last_failure.c_str() : words_of(error).text;
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaDriverGetVersion(int* version) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  return *version = 12020, cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 12020, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  return *count = 1, cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device != 0) return answer(cudaErrorInvalidValue);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = kMajor;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = kMinor;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = kMostSharedBytes;
      break;
  }
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  *data = emu::allocate_device(bytes);
  return answer(*data ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* data) {
  return answer(!data || emu::free_device(data) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaMallocHost(void** data, size_t bytes) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  *data = std::malloc(bytes);
  return answer(*data ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* data) { return std::free(data), cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  *total_bytes = emu::device_bytes();
  *free_bytes = *total_bytes - emu::device_bytes_in_use();
  return cudaSuccess;
}
