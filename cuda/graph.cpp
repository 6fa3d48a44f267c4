#include <brume/cuda/graph.h>

#include <cuda_runtime.h>

#include <utility>

#include <brume/cuda/findings.h>
#include <brume/cuda/kernels/numbers.h>
#include <brume/cuda/memory.h>
#include <brume/cuda/runtime.h>

namespace brume::cuda {
namespace {

class Graph final : public Recording {
 public:
  Graph() : words_(static_cast<uint64_t*>(memory.allocate(kMostWords * sizeof(uint64_t)))) {}
  // A replay may be under way. What it did wrong is told to whoever looks at its results.
  ~Graph() override {
    cudaStreamSynchronize(compute().handle);
    if (exec_) cudaGraphExecDestroy(exec_);
    cudaGetLastError();
    memory.free(words_, kMostWords * sizeof(uint64_t));
  }

  uint64_t* note(std::function<void(uint64_t)> tell) override {
    return findings_.add(std::move(tell));
  }

 private:
  static Stream compute() { return stream("captured step"); }

  void use_own_memory(bool on) override { arena_.use(on); }

  void begin() override {
    const Stream s = compute();
    check_cuda(cudaStreamBeginCapture(s.handle, cudaStreamCaptureModeThreadLocal), s.op);
    set_capturing(true);
  }

  void end() override {
    const Stream s = compute();
    findings_.bring(s);
    set_capturing(false);
    cudaGraph_t graph = nullptr;
    check_cuda(cudaStreamEndCapture(s.handle, &graph), s.op);
    const cudaError_t error = cudaGraphInstantiate(&exec_, graph, 0);
    cudaGraphDestroy(graph);
    check_cuda(error, s.op);
  }

  void abandon() override {
    if (!is_capturing()) return;  // end() failed
    const Stream s = compute();
    set_capturing(false);
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(s.handle, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
  }

  uint64_t* words() override { return words_; }

  void start(std::span<const uint64_t> numbers) override {
    const Stream s = compute();
    put_numbers(s, numbers, words_);
    check_cuda(cudaGraphLaunch(exec_, s.handle), s.op);
  }

  Findings findings_;
  Arena arena_;
  cudaGraphExec_t exec_ = nullptr;
  uint64_t* words_;
};

}  // namespace

std::unique_ptr<Recording> make_graph() { return std::make_unique<Graph>(); }

}  // namespace brume::cuda
