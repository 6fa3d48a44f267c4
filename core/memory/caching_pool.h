#pragma once
// Size-class free lists in front of a slow allocator. Used by every backend.

#include <cstddef>
#include <mutex>
#include <vector>

#include <brume/core/memory/memory_stats.h>

namespace brume {

/// Freed blocks wait in lists by size class; the most recently freed is given out first, as its
/// lines are still in cache. Classes are at most 1/8 apart, so a block wastes at most that much.
class CachingPool {
 public:
  using SystemAllocate = void* (*)(size_t bytes);  // null when there is no memory
  using SystemFree = void (*)(void* data, size_t bytes);

  /// settle: waits until what was freed can be allocated again; null if that is at once.
  CachingPool(SystemAllocate system_allocate, SystemFree system_free, void (*settle)() = nullptr);
  ~CachingPool();

  /// Without memory the cache is emptied and asked for again, once.
  /// @throws Error with the size, and what is in use, if that does not help
  void* allocate(size_t bytes);
  void free(void* data, size_t bytes) noexcept;
  void trim();  // gives every cached block back
  MemoryStats stats() const;
  void reset_peak();
  /// At most this many bytes are kept; further blocks go back at once.
  void set_limit(int64_t bytes);

 private:
  SystemAllocate system_allocate_;
  SystemFree system_free_;
  void (*settle_)();
  mutable std::mutex mutex_;
  struct SizeClass {
    std::vector<void*> cached;  // has room for every block, so that free() allocates nothing
    size_t blocks = 0;          // cached or in use
  };
  std::vector<SizeClass> classes_;
  MemoryStats stats_;
  int64_t limit_;

  void* new_block(size_t bytes, SizeClass& of);
  void trim_locked();
};

}  // namespace brume
