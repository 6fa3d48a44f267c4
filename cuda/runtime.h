#pragma once
// The device, its stream, events, and how an answer of the CUDA runtime becomes an exception.

#include <cstddef>
#include <string>

struct CUstream_st;
struct CUevent_st;

namespace brume::cuda {

/// What kernels are chosen by.
struct Capability {
  int major = 0, minor = 0;
  int multiprocessors = 0;
  int shared_bytes = 0;  // that one block can ask for
};

/// The device in use (the first one); null, with the reason, if there is none that brume can use.
const Capability* capability(std::string* reason);

/// Asks the driver once more: why there is no device to use, or "".
std::string why_no_device();

/// Work for the device runs in the order in which it is given to a stream. `op` is the operation
/// that gives it: errors are told in its name.
struct Stream {
  CUstream_st* handle;
  const char* op;
};

/// The device's one compute stream, on behalf of `op`.
/// @throws DeviceError if there is no device; Error while another thread captures its work
Stream stream(const char* op);

/// Whether this thread is recording the compute stream's work instead of having it done. Meanwhile
/// no other thread gets the stream. A capture tells.
bool is_capturing();
bool some_thread_is_capturing();
void set_capturing(bool on);

/// The operation of the last launch.
const char* last_launch();

/// The compute stream for what must not throw; null without a device.
CUstream_st* compute_stream();

/// Waits until the stream has done all its work.
/// @throws CudaError for whatever went wrong in it
void synchronize(Stream stream);

/// A point in a stream that the host or another stream can wait for.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(Stream stream);
  /// The work given to `stream` from now on starts after this point.
  void hold(Stream stream) const;
  void synchronize() const;

 private:
  CUevent_st* handle_ = nullptr;
};

/// Raises what `error` (a cudaError_t) stands for, unless it is success.
/// @throws CudaError "op: what the runtime says (its name)"; for an error that stops the device,
/// with
///         the launches before it
void check_cuda(int error, const char* op);

/// Notes a launch, for the message of an error that surfaces later. With BRUME_SYNC=1 waits for it,
/// so that the error surfaces here. @throws CudaError for `error` or what the wait finds
void check_launch(int error, Stream stream, unsigned blocks, unsigned threads);

}  // namespace brume::cuda
