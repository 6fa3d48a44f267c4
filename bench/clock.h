#pragma once

namespace brume::bench {

/// Seconds since some moment: of the wall clock, or of this thread's CPU after count_cpu_time().
double seconds();
void count_cpu_time();

}  // namespace brume::bench
