// The runtime API of cuda_runtime.h, answered by the emulator.

#include <cuda_runtime.h>

#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <brume/core/error.h>
#include <brume/cuda/emu/control.h>
#include <brume/cuda/emu/device_memory.h>

namespace {

using namespace brume::cuda;

// An H200 in what kernels can ask for.
constexpr int kMajor = 9, kMinor = 0, kMultiprocessors = 132;
constexpr int kDefaultSharedBytes = 48 << 10, kMostSharedBytes = 227 << 10;
constexpr unsigned kMostThreads = 1024, kMostInYZ = 65535, kMostInX = 0x7fffffffU;

thread_local cudaError_t last_error = cudaSuccess;
thread_local std::string last_failure;

cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
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

cudaError_t set_shared_limit(const void* kernel, int bytes) {
  if (bytes < 0 || bytes > kMostSharedBytes) return answer(cudaErrorInvalidValue);
  const std::scoped_lock lock(limits_mutex);
  shared_limits[kernel] = bytes > kDefaultSharedBytes ? bytes : kDefaultSharedBytes;
  return cudaSuccess;
}

cudaError_t launch(const void* kernel, void (*body)(void*), void* context, dim3 grid, dim3 block,
                   size_t shared_bytes) {
  const auto limit = static_cast<size_t>(shared_limit(kernel));
  if (!is_possible(grid, block)) return answer(cudaErrorInvalidConfiguration);
  if (shared_bytes > limit) return answer(cudaErrorInvalidValue);
  try {
    run({body,
         context,
         {grid.x, grid.y, grid.z},
         {block.x, block.y, block.z},
         shared_bytes,
         limit});
  } catch (const Error& error) {
    last_failure = error.what();
    return answer(cudaErrorLaunchFailure);
  }
  return cudaSuccess;
}

}  // namespace brume::cuda::emu

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
  }
  return "unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorLaunchFailure:
      return last_failure.c_str();
    default:
      return cudaGetErrorName(error);
  }
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaDriverGetVersion(int* version) { return *version = 12020, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 12020, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }

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

struct CUstream_st {};
struct CUevent_st {};

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete stream, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

cudaError_t cudaMallocAsync(void** data, size_t bytes, cudaStream_t) {
  *data = emu::allocate_device(bytes);
  return answer(*data ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t) {
  return answer(!data || emu::free_device(data) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  *total_bytes = emu::device_bytes();
  *free_bytes = *total_bytes - emu::device_bytes_in_use();
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  const bool to_fits = kind == cudaMemcpyDeviceToHost || emu::is_device_memory(to, bytes);
  const bool from_fits = kind == cudaMemcpyHostToDevice || emu::is_device_memory(from, bytes);
  if (!to_fits || !from_fits) return answer(cudaErrorInvalidValue);
  const emu::MemoryAccess access;
  std::memmove(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* data, int byte, size_t bytes, cudaStream_t) {
  if (!emu::is_device_memory(data, bytes)) return answer(cudaErrorInvalidValue);
  const emu::MemoryAccess access;
  std::memset(data, byte, bytes);
  return cudaSuccess;
}
