#include "bench/clock.h"

#include <ctime>

namespace brume::bench {
namespace {

clockid_t clock_id = CLOCK_MONOTONIC;

}  // namespace

double seconds() {
  timespec now{};
  clock_gettime(clock_id, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void count_cpu_time() { clock_id = CLOCK_THREAD_CPUTIME_ID; }

}  // namespace brume::bench
