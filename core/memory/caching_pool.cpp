#include <brume/core/memory/caching_pool.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include <brume/core/error.h>

namespace brume {
namespace {

constexpr size_t kSmallest = 64;  // bytes; also the alignment
constexpr int kSteps = 8;         // classes per power of two

// Class c holds blocks of class_bytes(c): 64 x {1, 9/8, ..., 15/8} x 2^k, rounded up to 64.
int size_class(size_t bytes) {
  const size_t units = (std::max(bytes, size_t{1}) + kSmallest - 1) / kSmallest;
  const int log = static_cast<int>(std::bit_width(units)) - 1;
  if (log < 3) return static_cast<int>(units) - 1;  // 1 .. 7 units, one class each
  const size_t step = size_t{1} << (log - 3);
  const size_t index = (units - (size_t{1} << log) + step - 1) / step;  // 0 .. 8
  return 7 + (log - 3) * kSteps + static_cast<int>(index);
}

size_t class_bytes(int size_class) {
  if (size_class < 7) return static_cast<size_t>(size_class + 1) * kSmallest;
  const int log = 3 + (size_class - 7) / kSteps, index = (size_class - 7) % kSteps;
  return ((size_t{1} << log) + static_cast<size_t>(index) * (size_t{1} << (log - 3))) * kSmallest;
}

}  // namespace

CachingPool::CachingPool(SystemAllocate system_allocate, SystemFree system_free, void (*settle)())
    : system_allocate_(system_allocate),
      system_free_(system_free),
      settle_(settle),
      classes_(static_cast<size_t>(size_class(size_t{1} << 60))),
      limit_(std::numeric_limits<int64_t>::max()) {}

CachingPool::~CachingPool() { trim(); }

void* CachingPool::allocate(size_t bytes) {
  check<Error>(bytes < (size_t{1} << 59), "memory: a block of ", bytes, " bytes cannot exist");
  const int c = size_class(bytes);
  const size_t size = class_bytes(c);
  const std::scoped_lock lock(mutex_);
  SizeClass& of = classes_[static_cast<size_t>(c)];
  void* data = nullptr;
  if (!of.cached.empty()) {
    data = of.cached.back();
    of.cached.pop_back();
    stats_.cached -= static_cast<int64_t>(size);
    ++stats_.hits;
  } else {
    data = new_block(size, of);
    ++stats_.misses;
  }
  stats_.live += static_cast<int64_t>(size);
  stats_.peak = std::max(stats_.peak, stats_.live);
  return data;
}

void* CachingPool::new_block(size_t bytes, SizeClass& of) {
  if (of.cached.capacity() <= of.blocks) of.cached.reserve(2 * of.blocks + 1);
  void* data = system_allocate_(bytes);
  const int64_t cached = stats_.cached;
  if (!data) {
    trim_locked();
    if (settle_) settle_();
    data = system_allocate_(bytes);
  }
  check<Error>(data != nullptr, "memory: no ", bytes, " bytes left; ", stats_.live, " are in use, ",
               stats_.peak, " were at most, ", cached,
               " that were cached have been given back. Use a smaller batch or model");
  ++of.blocks;
  return data;
}

void CachingPool::free(void* data, size_t bytes) noexcept {
  if (!data) return;
  const int c = size_class(bytes);
  const auto size = static_cast<int64_t>(class_bytes(c));
  const std::scoped_lock lock(mutex_);
  SizeClass& of = classes_[static_cast<size_t>(c)];
  stats_.live -= size;
  if (stats_.cached + size > limit_) {
    --of.blocks;
    system_free_(data, static_cast<size_t>(size));
    return;
  }
  of.cached.push_back(data);
  stats_.cached += size;
}

void CachingPool::trim_locked() {
  for (size_t c = 0; c < classes_.size(); ++c) {
    SizeClass& of = classes_[c];
    for (void* data : of.cached) system_free_(data, class_bytes(static_cast<int>(c)));
    of.blocks -= of.cached.size();
    of.cached.clear();
  }
  stats_.cached = 0;
}

void CachingPool::trim() {
  const std::scoped_lock lock(mutex_);
  trim_locked();
}

MemoryStats CachingPool::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

void CachingPool::reset_peak() {
  const std::scoped_lock lock(mutex_);
  stats_.peak = stats_.live;
}

void CachingPool::set_limit(int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  limit_ = bytes;
  if (stats_.cached > limit_) trim_locked();
}

}  // namespace brume
