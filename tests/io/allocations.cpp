#include "tests/io/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include <brume/core/backend.h>

namespace {

std::atomic<int64_t> in_use{0}, most{0}, countdown{-1}, count{0};

void* allocate(size_t bytes) {
  count.fetch_add(1, std::memory_order_relaxed);
  if (countdown.load(std::memory_order_relaxed) >= 0 &&
      countdown.fetch_sub(1, std::memory_order_relaxed) == 0)
    throw std::bad_alloc();
  void* data = std::malloc(bytes);
  if (!data) throw std::bad_alloc();
  const int64_t now = in_use += static_cast<int64_t>(::malloc_usable_size(data));
  int64_t before = most.load();
  while (before < now && !most.compare_exchange_weak(before, now)) {
  }
  return data;
}

void release(void* data) {
  if (!data) return;
  in_use -= static_cast<int64_t>(::malloc_usable_size(data));
  std::free(data);
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes); }
void* operator new[](size_t bytes) { return allocate(bytes); }
// Replaced too because the sanitizers' own would not pair with the deletes here.
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return allocate(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* data, const std::nothrow_t&) noexcept { release(data); }
void operator delete(void* data) noexcept { release(data); }
void operator delete[](void* data) noexcept { release(data); }
void operator delete(void* data, size_t) noexcept { release(data); }
void operator delete[](void* data, size_t) noexcept { release(data); }

namespace brume::test {
namespace {

int64_t start = 0, start_of_tensors = 0;
const Memory& tensors() { return backend(DeviceType::cpu).memory; }

}  // namespace

void start_measuring() {
  most = start = in_use.load();
  tensors().trim();
  tensors().reset_peak();
  start_of_tensors = tensors().stats().live;
}

// The two peaks need not fall together: their sum is an upper bound.
int64_t most_bytes_in_use() {
  return most.load() - start + tensors().stats().peak - start_of_tensors;
}

void fail_allocation(int64_t number) {
  count = 0;
  countdown = number;
}
int64_t allocations() { return count.load(); }

}  // namespace brume::test
