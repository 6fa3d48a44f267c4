// 2 KiB of numbers per launch: arguments of a kernel end at 4 KiB.

#include <brume/cuda/kernels/numbers.h>

#include <algorithm>

#include <brume/cuda/launch.h>

namespace brume::cuda {
namespace {

constexpr int kMost = 256;

struct Numbers {
  uint64_t at[kMost];
};

__global__ void __launch_bounds__(kMost) put(Numbers numbers, int count, uint64_t* to) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < count) to[i] = numbers.at[i];
}

}  // namespace

void put_numbers(Stream stream, std::span<const uint64_t> numbers, uint64_t* to) {
  while (!numbers.empty()) {
    const size_t count = std::min<size_t>(numbers.size(), kMost);
    Numbers part{};
    std::copy_n(numbers.begin(), count, part.at);
    launch(put, 1, kMost, 0, stream, part, static_cast<int>(count), to);
    numbers = numbers.subspan(count);
    to += count;
  }
}

}  // namespace brume::cuda
