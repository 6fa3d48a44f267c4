#pragma once
// The end of a weight gradient whose pixels were split.

#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/divider.cuh>
#include <brume/cuda/device/math.cuh>

namespace brume::cuda {

constexpr int kJoinThreads = 256;

// gw [row][channel][tap] from part [split][row][tap][channel].
template <class T>
__global__ void __launch_bounds__(kJoinThreads)
    join_splits(int64_t n, Divider taps, Divider channels, uint32_t splits, const Wide<T>* part,
                T* gw) {
  const int64_t i = int64_t{blockIdx.x} * kJoinThreads + threadIdx.x;
  if (i >= n) return;
  const auto at = static_cast<uint32_t>(i);
  const uint32_t line = taps.quotient(at), tap = at - line * taps.divisor();  // (row, channel), tap
  const uint32_t row = channels.quotient(line), channel = line - row * channels.divisor();
  const int64_t from = (int64_t{row} * taps.divisor() + tap) * channels.divisor() + channel;
  double total = 0;
#pragma unroll 8
  for (uint32_t s = 0; s < splits; ++s) total += static_cast<double>(part[s * n + from]);
  gw[i] = static_cast<T>(static_cast<Wide<T>>(total));
}

/// `n` numbers in all.
template <class T>
void launch_join(const char* op, int64_t n, uint32_t taps, uint32_t channels, int64_t splits,
                 const Wide<T>* part, T* gw) {
  launch(join_splits<T>, count32(op, (n + kJoinThreads - 1) / kJoinThreads), kJoinThreads, 0,
         stream(op), n, Divider(taps), Divider(channels), count32(op, splits), part, gw);
}

}  // namespace brume::cuda
