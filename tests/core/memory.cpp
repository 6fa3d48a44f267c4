#include <brume/core/memory/caching_pool.h>

#include <cstdlib>
#include <limits>

#include <doctest/doctest.h>

#include <brume/core/backend.h>
#include <brume/core/error.h>
#include <brume/core/tensor.h>

using namespace brume;

namespace {

int64_t system_bytes = 0;
int64_t system_limit = std::numeric_limits<int64_t>::max();

void* counted_allocate(size_t bytes) {
  if (system_bytes + static_cast<int64_t>(bytes) > system_limit) return nullptr;
  system_bytes += static_cast<int64_t>(bytes);
  return std::malloc(bytes);
}
void counted_free(void* data, size_t bytes) {
  system_bytes -= static_cast<int64_t>(bytes);
  std::free(data);
}

}  // namespace

TEST_CASE("a freed block is the next one given out") {
  CachingPool pool(counted_allocate, counted_free);
  void* a = pool.allocate(1000);
  void* b = pool.allocate(1000);
  pool.free(a, 1000);
  pool.free(b, 1000);
  CHECK(pool.allocate(990) == b);
  CHECK(pool.allocate(1000) == a);
  CHECK(pool.stats().hits == 2);
  CHECK(pool.stats().misses == 2);
  pool.free(a, 1000);
  pool.free(b, 990);
}

TEST_CASE("a block wastes at most an eighth, or one cache line") {
  CachingPool pool(counted_allocate, counted_free);
  for (size_t bytes = 1; bytes < 100'000'000; bytes = bytes + bytes / 7 + 1) {
    const int64_t before = pool.stats().live;
    void* data = pool.allocate(bytes);
    const int64_t taken = pool.stats().live - before;
    CHECK(taken >= static_cast<int64_t>(bytes));
    CHECK(taken <= static_cast<int64_t>(bytes + bytes / 8 + 64));
    pool.free(data, bytes);
    pool.trim();
    CHECK(pool.stats().live == before);
  }
  CHECK(system_bytes == 0);
}

TEST_CASE("a full system gets its cached blocks back before the pool gives up") {
  CachingPool pool(counted_allocate, counted_free);
  system_limit = 4096;
  pool.free(pool.allocate(3000), 3000);
  void* data = pool.allocate(2048);  // needs the cached block to go
  CHECK(data != nullptr);
  CHECK_THROWS_AS(pool.allocate(4096), Error);
  CHECK(pool.stats().live == 2048);  // still usable
  pool.free(data, 2048);
  pool.trim();
  CHECK(system_bytes == 0);
  system_limit = std::numeric_limits<int64_t>::max();
}

TEST_CASE("peak is the largest live since it was reset, and a limit bounds what is kept") {
  CachingPool pool(counted_allocate, counted_free);
  pool.free(pool.allocate(1 << 20), 1 << 20);
  CHECK(pool.stats().peak == 1 << 20);
  pool.reset_peak();
  CHECK(pool.stats().peak == 0);
  CHECK(pool.stats().cached == 1 << 20);
  pool.set_limit(1 << 16);
  CHECK(pool.stats().cached == 0);
  pool.free(pool.allocate(1 << 20), 1 << 20);
  CHECK(pool.stats().cached == 0);
}

#ifndef BRUME_SANITIZE  // such builds cache nothing
TEST_CASE("a device's cached memory can be given back and limited") {
  const int64_t bytes = int64_t{1} << 20;
  const auto use = [&] { (void)empty({bytes}, {.dtype = DType::u8}); };
  use();
  CHECK(memory_stats().cached >= bytes);
  trim_memory();
  CHECK(memory_stats().cached == 0);
  limit_cached_memory(bytes / 2);
  use();
  CHECK(memory_stats().cached == 0);
  limit_cached_memory(std::numeric_limits<int64_t>::max());
  reset_peak_memory();
  CHECK(memory_stats().peak == memory_stats().live);
  use();
  CHECK(memory_stats().peak == memory_stats().live + bytes);
  CHECK_THROWS_AS(limit_cached_memory(-1), Error);
}
#endif
