// The twin of CUB's stable radix sort. The result lies in the spare buffer, and what was sorted is
// gone, as may happen there.

#include <brume/cuda/lib/sort_pairs.h>

#include <cuda_runtime.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include <brume/cuda/emu/device_memory.h>
#include <brume/cuda/emu/stream.h>

namespace brume::cuda {

namespace {

void sort_into(Pairs spare, Pairs pairs, uint32_t count, int bits) {
  const emu::MemoryAccess access;
  const uint64_t mask = bits < 64 ? (uint64_t{1} << bits) - 1 : ~uint64_t{0};
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return (pairs.keys[a] & mask) < (pairs.keys[b] & mask);
  });
  for (uint32_t i = 0; i < count; ++i) {
    spare.keys[i] = pairs.keys[order[i]];
    spare.values[i] = pairs.values[order[i]];
  }
  std::fill_n(pairs.keys, count, ~uint64_t{0});
  std::fill_n(pairs.values, count, ~uint32_t{0});
}

}  // namespace

Pairs sort_pairs(Stream stream, Pairs pairs, Pairs spare, uint32_t count, int bits) {
  const auto work = [=] { return sort_into(spare, pairs, count, bits), cudaSuccess; };
  check_cuda(emu::give(stream.handle, work), stream.op);
  return spare;
}

}  // namespace brume::cuda
