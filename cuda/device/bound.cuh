#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace brume::cuda {

/// The first i in [begin, end) for which is_before(i) is false; those for which it is true stand
/// first.
template <class F>
__device__ inline int64_t first_not(int64_t begin, int64_t end, F&& is_before) {
  while (begin < end) {
    const int64_t middle = begin + (end - begin) / 2;
    if (is_before(middle))
      begin = middle + 1;
    else
      end = middle;
  }
  return begin;
}

}  // namespace brume::cuda
