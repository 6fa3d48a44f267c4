#include <brume/cuda/emu/stream.h>

#include <cuda_runtime.h>

#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <brume/cuda/emu/api.h>
#include <brume/cuda/emu/device_memory.h>

using namespace brume::cuda;
using emu::answer;

struct CUgraph_st {
  std::vector<emu::Work> work;
  bool is_broken = false;  // something was asked for that cannot be captured
};
struct CUgraphExec_st {
  std::vector<emu::Work> work;
};

struct CUstream_st {
  struct Copy {
    size_t number;
    void* to;
    emu::Work work;
  };
  std::recursive_mutex mutex;
  std::deque<Copy> under_way;
  size_t given = 0;  // copies so far
  std::unique_ptr<CUgraph_st> capture;

  /// Lets the first `count` of all copies land.
  cudaError_t land(size_t count) {
    const std::scoped_lock lock(mutex);
    cudaError_t error = cudaSuccess;
    while (!under_way.empty() && under_way.front().number < count) {
      const Copy copy = std::move(under_way.front());
      under_way.pop_front();
      emu::close_allocation(copy.to, false);
      if (const cudaError_t e = copy.work(); e != cudaSuccess) error = e;
    }
    return error;
  }
  cudaError_t land_all() { return land(given); }
};

// The point of a stream that was recorded last.
struct CUevent_st {
  CUstream_st* stream = nullptr;
  size_t copies = 0;
};

namespace {

thread_local CUstream_st* captured_here = nullptr;

cudaError_t refuse(CUstream_st* stream) {
  stream->capture->is_broken = true;
  return answer(cudaErrorStreamCaptureUnsupported);
}

}  // namespace

namespace brume::cuda::emu {

cudaError_t give(CUstream_st* stream, Work work) {
  if (stream->capture) {
    stream->capture->work.push_back(std::move(work));
    return cudaSuccess;
  }
  const cudaError_t landed = stream->land_all();
  return landed == cudaSuccess ? work() : landed;
}

cudaError_t give_copy(CUstream_st* stream, void* to, Work work) {
  if (stream->capture || copies() == Copies::early) return give(stream, std::move(work));
  const std::scoped_lock lock(stream->mutex);
  close_allocation(to, true);
  stream->under_way.push_back({stream->given++, to, std::move(work)});
  return cudaSuccess;
}

bool record_in_capture(const Work& work) {
  if (!captured_here) return false;
  captured_here->capture->work.push_back(work);
  return true;
}

}  // namespace brume::cuda::emu

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const cudaError_t error = stream->land_all();
  delete stream;
  return error;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  return stream->capture ? refuse(stream) : answer(stream->land_all());
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  if (stream->capture) return refuse(stream);  // of another stream: would have to be captured, too
  return answer(event->stream ? event->stream->land(event->copies) : cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  *event = {stream, stream->given};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  if (!event->stream) return cudaSuccess;
  if (event->stream->capture) return refuse(event->stream);
  return answer(event->stream->land(event->copies));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  if (stream->capture || captured_here) return answer(cudaErrorIllegalState);
  stream->land_all();
  stream->capture = std::make_unique<CUgraph_st>();
  captured_here = stream;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!stream->capture || captured_here != stream) return answer(cudaErrorIllegalState);
  captured_here = nullptr;
  const std::unique_ptr<CUgraph_st> done = std::move(stream->capture);
  if (done->is_broken) return answer(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st(*done);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  *exec = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  return emu::give(stream, [exec] {
    for (const emu::Work& work : exec->work)
      if (const cudaError_t error = work(); error != cudaSuccess) return answer(error);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocAsync(void** data, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  if (stream->capture) return refuse(stream);  // would become a node of the graph
  return cudaMalloc(data, bytes);
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  if (stream->capture) return refuse(stream);
  return emu::give(stream, [data] {
    return answer(!data || emu::free_device(data) ? cudaSuccess : cudaErrorInvalidValue);
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  const auto fits = [=] {
    return (kind == cudaMemcpyDeviceToHost || emu::is_device_memory(to, bytes)) &&
           (kind == cudaMemcpyHostToDevice || emu::is_device_memory(from, bytes));
  };
  const auto work = [=] {
    if (!fits()) return answer(cudaErrorInvalidValue);
    if (emu::is_closed(from) || emu::is_closed(to)) return answer(cudaErrorIllegalAddress);
    const emu::MemoryAccess access;
    std::memmove(to, from, bytes);
    return cudaSuccess;
  };
  if (kind != cudaMemcpyHostToDevice || !fits()) return emu::give(stream, work);
  return emu::give_copy(stream, to, work);
}
cudaError_t cudaMemsetAsync(void* data, int byte, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = emu::planned(__func__)) return error;
  return emu::give(stream, [=] {
    if (!emu::is_device_memory(data, bytes)) return answer(cudaErrorInvalidValue);
    if (emu::is_closed(data)) return answer(cudaErrorIllegalAddress);
    const emu::MemoryAccess access;
    std::memset(data, byte, bytes);
    return cudaSuccess;
  });
}
