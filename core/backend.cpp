#include <brume/core/backend.h>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/memory.h>

namespace brume {

const Backend cpu_backend{.name = "cpu",
                          .libraries = nullptr,
                          .memory = cpu::memory,
                          .make_recording = nullptr,
                          .make_staging = nullptr,
                          .pointwise = cpu_pointwise,
                          .reduce = cpu_reduce,
                          .gemm = cpu_gemm,
                          .conv = cpu_conv,
                          .norm = cpu_norm,
                          .attention = cpu_attention,
                          .index = cpu_index,
                          .fft = cpu_fft,
                          .random = cpu_random,
                          .optim = cpu_optim};

#ifndef BRUME_CUDA
const Backend* cuda_backend(std::string* reason) {
  *reason = "this build has no CUDA backend; configure with -DBRUME_CUDA=ON";
  return nullptr;
}
#endif

const Backend& backend(DeviceType type) {
  if (type == DeviceType::cpu) return cpu_backend;
  std::string reason;
  const Backend* cuda = cuda_backend(&reason);
  check<DeviceError>(cuda != nullptr, "cuda: ", reason);
  return *cuda;
}

bool has_backend(DeviceType type) {
  std::string reason;
  return type == DeviceType::cpu || cuda_backend(&reason) != nullptr;
}

MemoryStats memory_stats(DeviceType type) { return backend(type).memory.stats(); }
void reset_peak_memory(DeviceType type) { backend(type).memory.reset_peak(); }
void trim_memory(DeviceType type) { backend(type).memory.trim(); }
void limit_cached_memory(int64_t bytes, DeviceType type) {
  check<Error>(bytes >= 0, "limit_cached_memory: wants bytes >= 0, got ", bytes);
  backend(type).memory.set_cache_limit(bytes);
}

}  // namespace brume
