#pragma once
// The CPU's thread pool. Chunk boundaries that decide bits follow the problem, never the number of
// threads, so results are the same bits for any thread count.

#include <cstdint>
#include <memory>
#include <type_traits>

namespace brume {

/// Threads that kernels may use, the caller included; from BRUME_NUM_THREADS or the machine.
int num_threads();
/// @throws ShapeError unless 1 <= n <= kMostThreads: thousands of waiting threads stop a machine
void set_num_threads(int n);
constexpr int kMostThreads = 1024;

namespace cpu {

/// Calls body(context, chunk) for chunk = 0 .. chunks-1, each once, on any thread in any order.
/// Nested calls and calls beside a busy pool run inline. The first exception reaches the caller
/// after every started chunk has ended.
void run_chunks(int64_t chunks, void (*body)(void* context, int64_t chunk), void* context);

/// f(chunk) for each of `chunks` pieces of work.
template <class F>
void parallel_chunks(int64_t chunks, F&& f) {
  if (chunks <= 0) return;
  using Body = std::remove_reference_t<F>;
  run_chunks(
      chunks, [](void* context, int64_t chunk) { (*static_cast<Body*>(context))(chunk); },
      const_cast<void*>(static_cast<const void*>(std::addressof(f))));
}

/// f(begin, end) over [0, n) in pieces of `grain` elements (the last may be shorter). One piece
/// stays on the caller. `grain` must not depend on the number of threads.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  if (n <= 0) return;
  if (n <= grain) {
    f(int64_t{0}, n);
    return;
  }
  parallel_chunks((n + grain - 1) / grain, [&](int64_t chunk) {
    const int64_t begin = chunk * grain;
    f(begin, begin + grain < n ? begin + grain : n);
  });
}

}  // namespace cpu
}  // namespace brume
