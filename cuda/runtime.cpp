#include <brume/cuda/runtime.h>

#include <cuda_runtime.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include <brume/core/error.h>

namespace brume::cuda {
namespace {

struct Found {
  Capability capability;
  std::string reason;  // empty if the device can be used
};

std::string version(int v) { return cat(v / 1000, ".", v % 1000 / 10); }

// The driver is asked before the devices: without one, cudaGetDeviceCount says only that it is too
// old, and leaves the count as it was.
std::string why_none() {
  int driver = 0, toolkit = 0, devices = 0;
  cudaRuntimeGetVersion(&toolkit);
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
    return "this machine has no NVIDIA driver; install one, or use the CPU";
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaErrorInsufficientDriver)
    return cat("the NVIDIA driver is too old: it serves CUDA ", version(driver),
               ", this build needs ", version(toolkit));
  if (error == cudaErrorNoDevice || (error == cudaSuccess && devices == 0))
    return "the NVIDIA driver shows no GPU (is CUDA_VISIBLE_DEVICES set?)";
  if (error != cudaSuccess)
    return cat("the CUDA runtime does not start: ", cudaGetErrorString(error), " (",
               cudaGetErrorName(error), ")");
  return {};
}

Found find_device() {
  Found found;
  found.reason = why_none();
  if (!found.reason.empty()) {
    cudaGetLastError();  // or the next launch would report it
    return found;
  }
  const auto ask = [](cudaDeviceAttr attribute) {
    int value = 0;
    check_cuda(cudaDeviceGetAttribute(&value, attribute, 0), "cuda");
    return value;
  };
  Capability& c = found.capability;
  c = {ask(cudaDevAttrComputeCapabilityMajor), ask(cudaDevAttrComputeCapabilityMinor),
       ask(cudaDevAttrMultiProcessorCount), ask(cudaDevAttrMaxSharedMemoryPerBlockOptin)};
  if (c.major < 8)
    found.reason = cat("the GPU has compute capability ", c.major, ".", c.minor,
                       "; brume needs 8.0 (bf16, asynchronous copies)");
  return found;
}

bool wants_sync() {
  const char* text = std::getenv("BRUME_SYNC");
  return text && std::string_view(text) == "1";
}

// The launches before an error that surfaces late, oldest first.
class Recent {
 public:
  void note(const char* op, unsigned blocks, unsigned threads) {
    const std::scoped_lock lock(mutex_);
    entries_[next_++ % entries_.size()] = {op, blocks, threads};
  }
  std::string text() const {
    const std::scoped_lock lock(mutex_);
    std::string out;
    const size_t count = next_ < entries_.size() ? next_ : entries_.size();
    for (size_t i = next_ - count; i < next_; ++i) {
      const Entry& e = entries_[i % entries_.size()];
      out += cat(out.empty() ? "" : ", ", e.op, " (", e.blocks, " x ", e.threads, ")");
    }
    return out;
  }

 private:
  struct Entry {
    const char* op;
    unsigned blocks, threads;
  };
  mutable std::mutex mutex_;
  std::array<Entry, 16> entries_{};
  size_t next_ = 0;
};

Recent& recent() {
  static Recent& instance = *new Recent;
  return instance;
}

}  // namespace

const Capability* capability(std::string* reason) {
  static const Found& found = *new Found(find_device());
  if (found.reason.empty()) return &found.capability;
  *reason = found.reason;
  return nullptr;
}

Stream stream(const char* op) {
  static CUstream_st* const compute = [] {
    std::string reason;
    check<DeviceError>(capability(&reason) != nullptr, "cuda: ", reason);
    cudaStream_t handle = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "cuda");
    return handle;
  }();
  return {compute, op};
}

void check_cuda(int error, const char* op) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or it would be reported again
  const auto code = static_cast<cudaError_t>(error);
  throw CudaError(cat(op, ": ", cudaGetErrorString(code), " (", cudaGetErrorName(code), ")"));
}

void check_launch(int error, Stream stream, unsigned blocks, unsigned threads) {
  check_cuda(error, stream.op);
  recent().note(stream.op, blocks, threads);
  static const bool sync = wants_sync();
  if (sync) check_cuda(cudaStreamSynchronize(stream.handle), stream.op);
}

void synchronize(Stream stream) {
  const cudaError_t error = cudaStreamSynchronize(stream.handle);
  if (error == cudaSuccess) return;
  cudaGetLastError();
  throw CudaError(cat(stream.op, ": the GPU stopped: ", cudaGetErrorString(error), " (",
                      cudaGetErrorName(error), "). The last launches, oldest first: ",
                      recent().text(), ". BRUME_SYNC=1 finds the one; the CPU can still be used"));
}

Event::Event() { check_cuda(cudaEventCreateWithFlags(&handle_, cudaEventDisableTiming), "event"); }
Event::~Event() { cudaEventDestroy(handle_); }
void Event::record(Stream stream) {
  check_cuda(cudaEventRecord(handle_, stream.handle), stream.op);
}
void Event::hold(Stream stream) const {
  check_cuda(cudaStreamWaitEvent(stream.handle, handle_, 0), stream.op);
}
void Event::synchronize() const { check_cuda(cudaEventSynchronize(handle_), "event"); }

}  // namespace brume::cuda
