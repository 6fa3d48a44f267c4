// The one file that compiles CUB: half a minute.

#include <brume/cuda/lib/sort_pairs.h>

#include <cub/device/device_radix_sort.cuh>

#include <brume/cuda/scratch.h>

namespace brume::cuda {

Pairs sort_pairs(Stream stream, Pairs pairs, Pairs spare, uint32_t count, int bits) {
  cub::DoubleBuffer<uint64_t> keys(pairs.keys, spare.keys);
  cub::DoubleBuffer<uint32_t> values(pairs.values, spare.values);
  const auto sort = [&](void* temporary, size_t& bytes) {
    check_cuda(cub::DeviceRadixSort::SortPairs(temporary, bytes, keys, values, count, 0, bits,
                                               stream.handle),
               stream.op);
  };
  size_t bytes = 0;
  sort(nullptr, bytes);  // only says how much it needs
  Scratch scratch;
  sort(scratch.take<unsigned char>(static_cast<int64_t>(bytes)), bytes);
  return {keys.Current(), values.Current()};
}

}  // namespace brume::cuda
