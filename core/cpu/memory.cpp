#include <brume/core/cpu/memory.h>

#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <brume/core/memory/caching_pool.h>

namespace brume::cpu {
namespace {

constexpr size_t kAlignment = 64;

#if defined(__linux__) && !defined(BRUME_SANITIZE)
// Blocks of a huge page or more start on one and ask for them: 1 to 3 % of a training step went
// into looking up small pages.
void* system_allocate(size_t bytes) {
  constexpr size_t kHugePage = size_t{1} << 21;
  const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (data && alignment == kHugePage) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return data;
}
#else
void* system_allocate(size_t bytes) {
  return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}
#endif
void system_free(void* data, size_t) { std::free(data); }

// Never destroyed: tensors with static lifetime may outlive any order of destruction.
CachingPool& pool() {
  static CachingPool& instance = *new CachingPool(system_allocate, system_free);
  return instance;
}

void* allocate(size_t bytes) {
  void* data = pool().allocate(bytes);
#if defined(BRUME_SANITIZE) || !defined(NDEBUG)
  std::memset(data, 0xff, bytes);  // NaN in every floating type: reading fresh memory shows
#endif
  return data;
}

void free(void* data, size_t bytes) {
  pool().free(data, bytes);
#ifdef BRUME_SANITIZE
  pool().trim();  // a recycled block would hide overruns and use after free
#endif
}

// Nothing has no address, which memcpy and memset do not take.
void copy(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
void fill_bytes(void* data, int byte, size_t bytes) {
  if (bytes > 0) std::memset(data, byte, bytes);
}

}  // namespace

const Memory memory{.allocate = allocate,
                    .free = free,
                    .to_host = copy,
                    .from_host = copy,
                    .fill_bytes = fill_bytes,
                    .synchronize = [] {},
                    .stats = [] { return pool().stats(); },
                    .reset_peak = [] { pool().reset_peak(); },
                    .set_cache_limit = [](int64_t bytes) { pool().set_limit(bytes); },
                    .trim = [] { pool().trim(); }};

}  // namespace brume::cpu
