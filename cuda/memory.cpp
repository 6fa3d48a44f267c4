#include <brume/cuda/memory.h>

#include <cuda_runtime.h>

#include <brume/core/memory/caching_pool.h>
#include <brume/cuda/runtime.h>
#ifdef BRUME_CUDA_EMULATED
#include <brume/cuda/emu/device_memory.h>
#endif

namespace brume::cuda {
namespace {

void* system_allocate(size_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMallocAsync(&data, bytes, stream("allocate").handle);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check_cuda(error, "allocate");
  return data;
}

// Not checked: a destructor calls it, and what it could report is what a kernel did before.
void system_free(void* data, size_t) { cudaFreeAsync(data, stream("free").handle); }

// Never destroyed: tensors with static lifetime may outlive any order of destruction.
CachingPool& pool() {
  static CachingPool& instance = *new CachingPool(system_allocate, system_free);
  return instance;
}

void* allocate(size_t bytes) {
  void* data = pool().allocate(bytes);
#ifdef BRUME_CUDA_EMULATED
  emu::lend_device(data, bytes);
#endif
  return data;
}

void free(void* data, size_t bytes) { pool().free(data, bytes); }

void to_host(void* host, const void* device, size_t bytes) {
  const Stream s = stream("copy to the host");
  check_cuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, s.handle), s.op);
  synchronize(s);
}

// Waits, since the caller may change the host's memory as soon as this returns.
void from_host(void* device, const void* host, size_t bytes) {
  const Stream s = stream("copy from the host");
  check_cuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, s.handle), s.op);
  synchronize(s);
}

void fill_bytes(void* device, int byte, size_t bytes) {
  const Stream s = stream("fill");
  check_cuda(cudaMemsetAsync(device, byte, bytes, s.handle), s.op);
}

}  // namespace

const Memory memory{.allocate = allocate,
                    .free = free,
                    .to_host = to_host,
                    .from_host = from_host,
                    .fill_bytes = fill_bytes,
                    .synchronize = [] { cuda::synchronize(stream("synchronize")); },
                    .stats = [] { return pool().stats(); },
                    .reset_peak = [] { pool().reset_peak(); },
                    .set_cache_limit = [](int64_t bytes) { pool().set_limit(bytes); },
                    .trim = [] { pool().trim(); }};

}  // namespace brume::cuda
