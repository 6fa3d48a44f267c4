#include "bench/peak.h"

#include <algorithm>
#include <atomic>

#include <brume/core/cpu/parallel.h>

#include "bench/clock.h"
#include "bench/row.h"

namespace brume::bench {

double peak_gflops(int repeats) {
  constexpr int64_t kRounds = 20000;  // a quarter of a millisecond
  const int threads = num_threads();
  std::atomic<float> sink = 0;
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const double start = seconds();
    cpu::parallel_chunks(threads, [&](int64_t) { sink = cpu::peak_isa().chains(kRounds); });
    best =
        std::max(best, threads * kRounds * cpu::peak_isa().flops_per_round / (seconds() - start));
  }
  return best * 1e-9;
}

}  // namespace brume::bench
