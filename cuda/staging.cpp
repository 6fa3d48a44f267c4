#include <brume/cuda/staging.h>

#include <cuda_runtime.h>

#include <brume/core/error.h>
#include <brume/cuda/runtime.h>

namespace brume::cuda {
namespace {

constexpr const char* kOp = "staging";

/// Not from the pool: its blocks may be given out while the compute stream still uses them, and
/// these belong to two streams.
struct Buffer {
  size_t bytes = 0, used = 0;
  std::byte *host = nullptr, *device = nullptr;
  Event landed, read;

  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { give_back(); }

  void give_back() {
    cudaFreeHost(host);
    cudaFree(device);  // waits for the device
    cudaGetLastError();
    host = device = nullptr;
    bytes = 0;
  }
  void make_room(size_t wanted) {
    if (wanted <= bytes) return;
    give_back();
    void* memory = nullptr;
    check_cuda(cudaMallocHost(&memory, wanted), kOp);
    host = static_cast<std::byte*>(memory);
    check_cuda(cudaMalloc(&memory, wanted), kOp);
    device = static_cast<std::byte*>(memory);
    bytes = wanted;
  }
};

class TwoBuffers final : public Staging {
 public:
  TwoBuffers() { check_cuda(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), kOp); }
  ~TwoBuffers() override {
    cudaStreamSynchronize(copies_);
    cudaStreamDestroy(copies_);
    cudaGetLastError();
  }

  std::byte* fill(size_t bytes) override {
    check<Error>(sent_ - released_ < 2, kOp, ": both buffers are in use; release one first");
    Buffer& buffer = at(sent_);
    buffer.landed.synchronize();  // its last copy has left the host's memory
    buffer.make_room(bytes);
    buffer.used = bytes;
    return buffer.host;
  }

  void send() override {
    Buffer& buffer = at(sent_++);
    const Stream copies{copies_, kOp};
    buffer.read.hold(copies);
    check_cuda(
        cudaMemcpyAsync(buffer.device, buffer.host, buffer.used, cudaMemcpyHostToDevice, copies_),
        kOp);
    buffer.landed.record(copies);
  }

  std::byte* receive() override {
    check<Error>(released_ < sent_, kOp, ": nothing was sent");
    const Buffer& buffer = at(released_);
    buffer.landed.hold(stream(kOp));
    return buffer.device;
  }

  void release() override { at(released_++).read.record(stream(kOp)); }

 private:
  Buffer& at(size_t turn) { return buffers_[turn % 2]; }

  Buffer buffers_[2];
  CUstream_st* copies_ = nullptr;
  size_t sent_ = 0, released_ = 0;
};

}  // namespace

std::unique_ptr<Staging> make_staging() { return std::make_unique<TwoBuffers>(); }

}  // namespace brume::cuda
