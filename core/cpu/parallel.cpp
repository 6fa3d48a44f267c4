#include <brume/core/cpu/parallel.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <brume/core/error.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace brume {
namespace cpu {
namespace {

// How long a thread without work watches for more before it sleeps. Waking a sleeper costs 25-55
// us; with 50 us two threads were seen to send each other to sleep within a training step.
constexpr auto kSpin = std::chrono::milliseconds(1);

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Predicate>
bool spin_until(Predicate done) {
  const auto stop = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < stop);
  return done();
}

// Fork and join. Workers watch `epoch_`, which is odd while a job is open, then sleep on it. Each
// thread has its share of neighbouring chunks, so that it finds in its own caches what it left
// there in the job before. Chunks are claimed one by one, whoever is done goes on with the others'
// shares: a worker that lost its core delays one chunk at most. Which thread runs a chunk never
// matters to the result. A worker announces itself in `inside_` before it reads the epoch, and the
// caller closes the epoch before it waits for `inside_`: nobody sees a job that is half replaced.
class Pool {
 public:
  explicit Pool(int threads) : shares_(static_cast<size_t>(threads)) {
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Pool() { stop(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(shares_.size()); }

  void run(int64_t chunks, void (*body)(void*, int64_t), void* context) {
    body_ = body;
    context_ = context;
    failure_ = nullptr;
    for (int i = 0; i < threads(); ++i) {
      Share& share = shares_[static_cast<size_t>(i)];
      share.next.store(chunks * i / threads(), std::memory_order_relaxed);
      share.end = chunks * (i + 1) / threads();
    }
    left_.store(chunks, std::memory_order_relaxed);
    epoch_.fetch_add(1);
    if (sleepers_.load() > 0) epoch_.notify_all();
    claim(0);
    if (!spin_until([&] { return left_.load() == 0; })) {
      waiting_.store(true);
      for (int64_t left; (left = left_.load()) != 0;) left_.wait(left);
      waiting_.store(false);
    }
    epoch_.fetch_add(1);
    while (inside_.load() != 0) pause();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void stop() {
    stop_.store(true);
    epoch_.fetch_add(1);
    epoch_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  void work(int self) {
    in_pool = true;
    uint32_t seen = 0;
    const auto open = [&] {
      const uint32_t epoch = epoch_.load();
      return ((epoch & 1U) != 0 && epoch != seen) || stop_.load();
    };
    for (;;) {
      if (!spin_until(open)) {
        sleepers_.fetch_add(1);
        while (!open()) {
          const uint32_t epoch = epoch_.load();
          if (!open()) epoch_.wait(epoch);
        }
        sleepers_.fetch_sub(1);
      }
      if (stop_.load()) return;
      inside_.fetch_add(1);
      const uint32_t epoch = epoch_.load();
      if ((epoch & 1U) != 0 && epoch != seen) {
        seen = epoch;
        claim(self);
      }
      inside_.fetch_sub(1);
    }
  }

  void claim(int self) {
    for (int i = 0; i < threads(); ++i) {
      Share& share = shares_[static_cast<size_t>((self + i) % threads())];
      // Looked at first: with many threads, asking every empty share would be the longest part.
      if (share.next.load(std::memory_order_relaxed) >= share.end) continue;
      for (int64_t chunk; (chunk = share.next.fetch_add(1)) < share.end;) run_chunk(chunk);
    }
  }

  void run_chunk(int64_t chunk) {
    try {
      body_(context_, chunk);
    } catch (...) {
      const std::scoped_lock lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
    if (left_.fetch_sub(1) == 1 && waiting_.load()) left_.notify_all();
  }

  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<int64_t> left_{0};
  alignas(64) std::atomic<int> inside_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> waiting_{false}, stop_{false};
  // The open job: written only while the epoch is even and nobody is inside.
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  std::vector<Share> shares_;
  std::exception_ptr failure_;
  std::mutex failure_mutex_;
  std::vector<std::thread> workers_;

 public:
  static thread_local bool in_pool;  // this thread runs chunks: nested work stays inline
};

thread_local bool Pool::in_pool = false;

int initial_threads() {
  if (const char* text = std::getenv("BRUME_NUM_THREADS")) {
    int n = 0;
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), n);
    check<Error>(error == std::errc() && *end == '\0' && n >= 1 && n <= kMostThreads,
                 "BRUME_NUM_THREADS: wants a number from 1 to ", kMostThreads, ", got '", text,
                 "'");
    return n;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{initial_threads()};
  return count;
}

// One job at a time; a thread that finds the pool taken runs its chunks itself. The pool lives
// until the process ends: its threads must not outlive static objects that their work uses.
std::mutex pool_mutex;
Pool* pool = nullptr;

void run_inline(int64_t chunks, void (*body)(void*, int64_t), void* context) {
  for (int64_t chunk = 0; chunk < chunks; ++chunk) body(context, chunk);
}

}  // namespace

void run_chunks(int64_t chunks, void (*body)(void*, int64_t), void* context) {
  const int threads = thread_count().load(std::memory_order_relaxed);
  if (chunks == 1 || threads == 1 || Pool::in_pool) return run_inline(chunks, body, context);
  std::unique_lock lock(pool_mutex, std::try_to_lock);
  if (!lock) return run_inline(chunks, body, context);
  if (!pool || pool->threads() != threads) {
    delete std::exchange(pool, nullptr);  // a thread may fail to start
    pool = new Pool(threads);
  }
  struct Mark {
    Mark() { Pool::in_pool = true; }
    ~Mark() { Pool::in_pool = false; }
  } mark;
  pool->run(chunks, body, context);
}

}  // namespace cpu

int num_threads() { return cpu::thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  check(n >= 1 && n <= kMostThreads, "set_num_threads: wants 1 to ", kMostThreads, ", got ", n);
  cpu::thread_count().store(n, std::memory_order_relaxed);
}

}  // namespace brume
