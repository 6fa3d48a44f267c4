#pragma once
// A backend: memory and one table of kernels per family. The linker shows what exists.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <brume/core/device.h>
#include <brume/core/kernels/attention.h>
#include <brume/core/kernels/conv.h>
#include <brume/core/kernels/fft.h>
#include <brume/core/kernels/gemm.h>
#include <brume/core/kernels/index.h>
#include <brume/core/kernels/norm.h>
#include <brume/core/kernels/optim.h>
#include <brume/core/kernels/pointwise.h>
#include <brume/core/kernels/random.h>
#include <brume/core/kernels/reduce.h>
#include <brume/core/memory/memory_stats.h>

namespace brume {

class Recording;
class Staging;

struct Memory {
  void* (*allocate)(size_t bytes) = nullptr;  // 64-byte aligned, never null
  void (*free)(void* data, size_t bytes) = nullptr;
  void (*to_host)(void* host, const void* device, size_t bytes) = nullptr;
  void (*from_host)(void* device, const void* host, size_t bytes) = nullptr;
  void (*fill_bytes)(void* device, int byte, size_t bytes) = nullptr;
  void (*synchronize)() = nullptr;
  MemoryStats (*stats)() = nullptr;
  void (*reset_peak)() = nullptr;
  void (*set_cache_limit)(int64_t bytes) = nullptr;
  void (*trim)() = nullptr;  // gives cached blocks back
};

struct Backend {
  const char* name;
  std::string (*libraries)();  // which ones serve it, in words for a user; null if none ever do
  Memory memory;
  // Null where the device does everything at once.
  std::unique_ptr<Recording> (*make_recording)();
  std::unique_ptr<Staging> (*make_staging)();
  const PointwiseKernels& pointwise;
  const ReduceKernels& reduce;
  const GemmKernels& gemm;
  const ConvKernels& conv;
  const NormKernels& norm;
  const AttentionKernels& attention;
  const IndexKernels& index;
  const FftKernels& fft;
  const RandomKernels& random;
  const OptimKernels& optim;
};

/// The backend of a device type. @throws DeviceError if this build or machine has none
const Backend& backend(DeviceType type);
/// Whether backend(type) would succeed.
bool has_backend(DeviceType type);

/// Null, with the reason, where this build or this machine has no usable GPU. One file of a build
/// defines it, so the linker decides and nothing registers itself: cuda/backend.cpp, whose objects
/// are part of core's archive, or core/backend.cpp when BRUME_CUDA is OFF.
const Backend* cuda_backend(std::string* reason);

/// Bytes of a device's pool. reset_peak starts a new `peak`; trim gives cached blocks back.
MemoryStats memory_stats(DeviceType type = DeviceType::cpu);
void reset_peak_memory(DeviceType type = DeviceType::cpu);
void trim_memory(DeviceType type = DeviceType::cpu);
/// At most this many bytes are cached from now on (at first: any number).
void limit_cached_memory(int64_t bytes, DeviceType type = DeviceType::cpu);

}  // namespace brume
