#include <brume/core/cpu/memory.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <brume/core/memory/caching_pool.h>

namespace brume::cpu {
namespace {

void* allocate_pages(size_t bytes) {
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (data && bytes >= kHugePage) ask_for_huge_pages(data, bytes);
  return data;
}

#if defined(BRUME_SANITIZE)
// Every block is an allocation of its own: overruns are seen.
void* system_allocate(size_t bytes) { return allocate_pages(bytes); }
void system_free(void* data, size_t) { std::free(data); }
#else
// Blocks smaller than a huge page, cut one behind the other from slabs of several. A slab goes back
// when all of its blocks have. The pool calls with its lock held.
class Slabs {
 public:
  void* take(size_t bytes) {
    constexpr size_t kSlab = 8 * kHugePage;
    if (slabs_.empty() || kSlab - slabs_.back().used < bytes) {
      slabs_.reserve(slabs_.size() + 1);
      void* data = allocate_pages(kSlab);
      if (!data) return nullptr;
      slabs_.push_back({static_cast<std::byte*>(data), kSlab});
    }
    Slab& slab = slabs_.back();
    void* block = slab.data + slab.used;
    slab.used += bytes;
    ++slab.blocks;
    return block;
  }
  void give_back(void* block) {
    const auto of = std::find_if(slabs_.begin(), slabs_.end(), [&](const Slab& slab) {
      const std::less<const void*> before;
      return !before(block, slab.data) && before(block, slab.data + slab.size);
    });
    if (--of->blocks > 0) return;
    std::free(of->data);
    slabs_.erase(of);
  }

 private:
  struct Slab {
    std::byte* data;
    size_t size, used = 0;
    int64_t blocks = 0;
  };
  std::vector<Slab> slabs_;
};

Slabs& slabs() {
  static Slabs& instance = *new Slabs;
  return instance;
}

void* system_allocate(size_t bytes) {
  return bytes < kHugePage ? slabs().take(bytes) : allocate_pages(bytes);
}
void system_free(void* data, size_t bytes) {
  bytes < kHugePage ? slabs().give_back(data) : std::free(data);
}
#endif

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

void ask_for_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__) && !defined(BRUME_SANITIZE)
  madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
}

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
