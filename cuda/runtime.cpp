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
  cudaStream_t stream = nullptr;
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

std::string why_too_old(const Capability& c) {
  return c.major >= 8 ? ""
                      : cat("the GPU has compute capability ", c.major, ".", c.minor,
                            "; brume needs 8.0 (bf16, asynchronous copies)");
}

// The first thing that takes a place on the GPU, and so what fails where another process has it.
std::string why_no_stream(cudaStream_t* stream) {
  const cudaError_t error = cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
  if (error == cudaErrorDevicesUnavailable)
    return "the GPU is taken by another process, which has it for itself; wait, or use the CPU";
  if (error == cudaErrorMemoryAllocation)
    return "other processes leave no memory on the GPU; wait, or use the CPU";
  if (error != cudaSuccess)
    return cat("the GPU does not start: ", cudaGetErrorString(error), " (", cudaGetErrorName(error),
               ")");
  return {};
}

Found find_device() {
  Found found;
  found.reason = why_none();
  if (found.reason.empty()) {
    const auto ask = [](cudaDeviceAttr attribute) {
      int value = 0;
      check_cuda(cudaDeviceGetAttribute(&value, attribute, 0), "cuda");
      return value;
    };
    found.capability = {ask(cudaDevAttrComputeCapabilityMajor),
                        ask(cudaDevAttrComputeCapabilityMinor), ask(cudaDevAttrMultiProcessorCount),
                        ask(cudaDevAttrMaxSharedMemoryPerBlockOptin)};
    found.reason = why_too_old(found.capability);
  }
  if (found.reason.empty()) found.reason = why_no_stream(&found.stream);
  cudaGetLastError();  // or the next launch would report what was found here
  return found;
}

// Asked for once, and with what was found then.
const Found& device() {
  static const Found& found = *new Found(find_device());
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
  const char* last() const {
    const std::scoped_lock lock(mutex_);
    return next_ == 0 ? "nothing" : entries_[(next_ - 1) % entries_.size()].op;
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

std::atomic<bool> some_thread_captures{false};
thread_local bool this_thread_captures = false;

// After these the process has lost its place on the device: every later call gives the same.
bool stops_device(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

Recent& recent() {
  static Recent& instance = *new Recent;
  return instance;
}

}  // namespace

const Capability* capability(std::string* reason) {
  if (device().reason.empty()) return &device().capability;
  *reason = device().reason;
  return nullptr;
}

std::string why_no_device() {
  const Found found = find_device();
  if (found.stream) cudaStreamDestroy(found.stream);
  return found.reason;
}

Stream stream(const char* op) {
  check<DeviceError>(device().reason.empty(), "cuda: ", device().reason);
  check<Error>(!some_thread_captures || this_thread_captures, op,
               ": another thread is recording a captured step on this device; wait for it");
  return {device().stream, op};
}

bool is_capturing() { return this_thread_captures; }
bool some_thread_is_capturing() { return some_thread_captures; }
CUstream_st* compute_stream() { return device().stream; }
void set_capturing(bool on) { some_thread_captures = this_thread_captures = on; }
const char* last_launch() { return recent().last(); }

void check_cuda(int error, const char* op) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or it would be reported again
  const auto code = static_cast<cudaError_t>(error);
  const std::string text = cat(cudaGetErrorString(code), " (", cudaGetErrorName(code), ")");
  if (!stops_device(code)) throw CudaError(cat(op, ": ", text));
  throw CudaError(cat(op, ": the GPU stopped: ", text, ". The last launches, oldest first: ",
                      recent().text(), ". BRUME_SYNC=1 finds the one; the CPU can still be used"));
}

void check_launch(int error, Stream stream, unsigned blocks, unsigned threads) {
  check_cuda(error, stream.op);
  recent().note(stream.op, blocks, threads);
  static const bool sync = wants_sync();
  if (sync && !is_capturing()) check_cuda(cudaStreamSynchronize(stream.handle), stream.op);
}

void synchronize(Stream stream) { check_cuda(cudaStreamSynchronize(stream.handle), stream.op); }

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
