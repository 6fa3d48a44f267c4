#include <brume/core/cpu/parallel.h>

#include <atomic>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <brume/core/error.h>

#include "tests/thread_count.h"

using namespace brume;

namespace {

// At most so many bytes of address space more, while it lives: some stacks, not hundreds.
class AddressSpace {
 public:
  explicit AddressSpace(size_t more) {
    std::ifstream statm("/proc/self/statm");
    size_t pages = 0;
    statm >> pages;
    getrlimit(RLIMIT_AS, &before_);
    rlimit limit = before_;
    limit.rlim_cur = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + more;
    setrlimit(RLIMIT_AS, &limit);
  }
  ~AddressSpace() { setrlimit(RLIMIT_AS, &before_); }
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("every chunk runs once, for any number of threads") {
  for (int threads : {1, 2, 3, 7}) {
    const Threads guard(threads);
    for (int64_t chunks : {1, 2, 5, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(chunks));
      cpu::parallel_chunks(chunks, [&](int64_t c) { ++runs[static_cast<size_t>(c)]; });
      for (auto& n : runs) CHECK(n == 1);
    }
  }
}

TEST_CASE("chunk boundaries depend on the problem, not on the number of threads") {
  std::vector<std::vector<int64_t>> bounds;
  for (int threads : {1, 2, 5}) {
    const Threads guard(threads);
    std::vector<int64_t> ends(11, -1);
    cpu::parallel_for(
        103, 10, [&](int64_t begin, int64_t end) { ends[static_cast<size_t>(begin / 10)] = end; });
    bounds.push_back(ends);
  }
  CHECK(bounds[0] == bounds[1]);
  CHECK(bounds[0] == bounds[2]);
  CHECK(bounds[0].back() == 103);
}

TEST_CASE("nested loops run inline") {
  const Threads guard(3);
  std::atomic<int> count = 0;
  cpu::parallel_chunks(4, [&](int64_t) { cpu::parallel_chunks(5, [&](int64_t) { ++count; }); });
  CHECK(count == 20);
}

TEST_CASE("an exception in a chunk reaches the caller after the others have ended") {
  for (int threads : {1, 3}) {
    const Threads guard(threads);
    std::atomic<int> ended = 0;
    CHECK_THROWS_AS(cpu::parallel_chunks(50,
                                         [&](int64_t c) {
                                           if (c == 49) throw std::runtime_error("chunk");
                                           ++ended;
                                         }),
                    std::runtime_error);
    CHECK(ended == 49);
    cpu::parallel_chunks(4, [&](int64_t) { ++ended; });  // the pool is usable again
    CHECK(ended == 53);
  }
}

TEST_CASE("several user threads share one pool") {
  const Threads guard(2);
  std::vector<std::thread> users;
  std::atomic<int64_t> total = 0;
  for (int u = 0; u < 4; ++u)
    users.emplace_back([&] {
      for (int round = 0; round < 200; ++round)
        cpu::parallel_for(1000, 100, [&](int64_t begin, int64_t end) { total += end - begin; });
    });
  for (auto& user : users) user.join();
  CHECK(total == 4 * 200 * 1000);
}

#ifndef BRUME_SANITIZE  // which need address space for themselves
TEST_CASE("threads that cannot start are an error, after which fewer do") {
  int64_t ran = 0;
  const auto count = [&] {
    std::atomic<int64_t> chunks = 0;
    cpu::parallel_chunks(100, [&](int64_t) { ++chunks; });
    ran = chunks;
  };
  {
    const Threads few(2);
    count();  // a pool is there
    const AddressSpace scarce(64 << 20);
    const Threads many(200);
    CHECK_THROWS_AS(count(), std::system_error);
    set_num_threads(2);
    count();
    CHECK(ran == 100);
  }
  count();
  CHECK(ran == 100);
}
#endif

TEST_CASE("the number of threads is at least one") {
  CHECK_THROWS_AS(set_num_threads(0), ShapeError);
  CHECK_THROWS_AS(set_num_threads(kMostThreads + 1), ShapeError);
}
