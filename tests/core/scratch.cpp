#include <brume/core/cpu/scratch.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include <doctest/doctest.h>

namespace {

std::atomic<bool> memory_is_out{false};

}  // namespace

// The aligned ones, through which scratch memory comes; those that are not replaced call these.
void* operator new(size_t bytes, std::align_val_t align) {
  const auto unit = static_cast<size_t>(align);
  void* data = memory_is_out ? nullptr : std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (!data) throw std::bad_alloc();
  return data;
}
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept { std::free(data); }

using brume::cpu::Scratch;

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// Each thread has its own stack.
template <class F>
void on_fresh_stack(F f) {
  std::thread(f).join();
}

}  // namespace

TEST_CASE("scratch memory is given back without an allocation, which could fail") {
  on_fresh_stack([] {
    {
      Scratch scratch;
      scratch.take<char>(kMiB);
      scratch.take<char>(2 * kMiB);
      memory_is_out = true;
    }
    bool failed = false;
    try {
      Scratch scratch;
      scratch.take<char>(8 * kMiB);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    memory_is_out = false;
    CHECK(failed);
    Scratch scratch;
    scratch.take<char>(8 * kMiB)[8 * kMiB - 1] = 1;  // usable again
  });
}

TEST_CASE("what an outer scope took stays in place while inner scopes grow and end") {
  on_fresh_stack([] {
    Scratch outer;
    auto* kept = outer.take<int>(100);
    for (int i = 0; i < 100; ++i) kept[i] = i;
    for (int round = 0; round < 2; ++round) {
      Scratch inner;
      auto* other = inner.take<char>(3 * kMiB);
      for (int64_t i = 0; i < 3 * kMiB; ++i) other[i] = 7;
    }
    for (int i = 0; i < 100; ++i) CHECK(kept[i] == i);
  });
}

#ifndef BRUME_SANITIZE  // there each piece is an allocation of its own
namespace {

bool in_one_piece() {
  Scratch scratch;
  const auto* first = scratch.take<char>(kMiB);
  return scratch.take<char>(2 * kMiB) == first + kMiB;
}

}  // namespace

TEST_CASE("what took several allocations once takes one the next time") {
  on_fresh_stack([] {
    CHECK_FALSE(in_one_piece());
    CHECK(in_one_piece());
  });
}
#endif
