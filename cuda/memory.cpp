#include <brume/cuda/memory.h>

#include <cuda_runtime.h>

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <brume/core/error.h>
#include <brume/core/memory/caching_pool.h>
#include <brume/core/recording.h>
#include <brume/cuda/findings.h>
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

// Not checked: a destructor calls it, and what it could report is what a kernel did before. While
// the stream is captured it would become part of the graph, so that it waits for the next time.
void system_free(void* data, size_t) {
  static std::mutex mutex;
  static std::vector<void*>& waiting = *new std::vector<void*>;
  const std::scoped_lock lock(mutex);
  waiting.push_back(data);
  if (some_thread_is_capturing()) return;
  for (void* block : waiting) cudaFreeAsync(block, compute_stream());
  waiting.clear();
  cudaGetLastError();
}

// Freed memory is there for the driver once the stream has come to where it was freed.
void settle() {
  cudaStreamSynchronize(compute_stream());
  cudaGetLastError();
}

// Never destroyed: tensors with static lifetime may outlive any order of destruction.
CachingPool& pool() {
  static CachingPool& instance = *new CachingPool(system_allocate, system_free, settle);
  return instance;
}

void* arena_system_allocate(size_t bytes);

}  // namespace

struct Arena::Blocks {
  CachingPool pool{arena_system_allocate, system_free, settle};
  struct Block {
    void* data;
    size_t bytes;
  };
  std::vector<Block> kept;  // of others

  ~Blocks() {
    for (const Block& block : kept) cuda::pool().free(block.data, block.bytes);
  }
  int64_t reserved() const {
    const MemoryStats stats = pool.stats();
    return stats.live + stats.cached;
  }
};

namespace {

// Which arena a block in use belongs to; that keeps the arena.
struct Owners {
  std::mutex mutex;
  std::unordered_map<const void*, std::shared_ptr<Arena::Blocks>> of;
  std::atomic<bool> any{false};  // once there was one: most programs have none to look up
  std::vector<std::weak_ptr<Arena::Blocks>> arenas;
};

Owners& owners() {
  static Owners& instance = *new Owners;
  return instance;
}

thread_local std::shared_ptr<Arena::Blocks> in_use;

void* arena_system_allocate(size_t bytes) {
  check<Error>(!is_capturing(), "captured step: after '", last_launch(), "' it wants ", bytes,
               " bytes more than in the runs before it was recorded; a step must need the same "
               "memory every time");
  return system_allocate(bytes);
}

void* allocate_block(size_t bytes) {
  if (!in_use) return pool().allocate(bytes);
  void* const data = in_use->pool.allocate(bytes);
  Owners& o = owners();
  const std::scoped_lock lock(o.mutex);
  o.of[data] = in_use;
  o.any = true;
  return data;
}

void* allocate(size_t bytes) {
  void* data = allocate_block(bytes);
#ifdef BRUME_CUDA_EMULATED
  emu::lend_device(data, bytes);
#endif
  return data;
}

void free(void* data, size_t bytes) {
  std::shared_ptr<Arena::Blocks> owner;
  if (Owners& o = owners(); o.any) {
    const std::scoped_lock lock(o.mutex);
    if (const auto found = o.of.find(data); found != o.of.end()) {
      owner = std::move(found->second);
      o.of.erase(found);
    }
  }
  if (owner)
    owner->pool.free(data, bytes);
  else if (data && in_use && is_capturing())
    in_use->kept.push_back({data, bytes});
  else
    pool().free(data, bytes);
}

// An arena is in use as a whole.
MemoryStats stats() {
  MemoryStats out = pool().stats();
  Owners& o = owners();
  const std::scoped_lock lock(o.mutex);
  for (const std::weak_ptr<Arena::Blocks>& arena : o.arenas)
    if (const auto blocks = arena.lock()) {
      const int64_t bytes = blocks->reserved();
      out.live += bytes;
      out.peak += bytes;
    }
  return out;
}

void wait(Stream s) {
  synchronize(s);
  tell_findings();
}

constexpr const char* kHostMoves = "the host is not part of it";

void to_host(void* host, const void* device, size_t bytes) {
  const Stream s = stream("copy to the host");
  refuse_in_captured_step(s.op, kHostMoves);
  check_cuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, s.handle), s.op);
  wait(s);
}

// Waits, since the caller may change the host's memory as soon as this returns.
void from_host(void* device, const void* host, size_t bytes) {
  const Stream s = stream("copy from the host");
  refuse_in_captured_step(s.op, kHostMoves);
  check_cuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, s.handle), s.op);
  wait(s);
}

void fill_bytes(void* device, int byte, size_t bytes) {
  const Stream s = stream("fill");
  check_cuda(cudaMemsetAsync(device, byte, bytes, s.handle), s.op);
}

void wait_for_all() {
  refuse_in_captured_step("synchronize", kHostMoves);
  wait(stream("synchronize"));
}

}  // namespace

Arena::Arena() : blocks_(std::make_shared<Blocks>()) {
  Owners& o = owners();
  const std::scoped_lock lock(o.mutex);
  std::erase_if(o.arenas, [](const auto& arena) { return arena.expired(); });
  o.arenas.push_back(blocks_);
}

Arena::~Arena() = default;

void Arena::use(bool on) { in_use = on ? blocks_ : nullptr; }

const Memory memory{.allocate = allocate,
                    .free = free,
                    .to_host = to_host,
                    .from_host = from_host,
                    .fill_bytes = fill_bytes,
                    .synchronize = wait_for_all,
                    .stats = stats,
                    .reset_peak = [] { pool().reset_peak(); },
                    .set_cache_limit = [](int64_t bytes) { pool().set_limit(bytes); },
                    .trim = [] { pool().trim(); }};

}  // namespace brume::cuda
