// Positions in a stable order, every line at once, by a radix sort (lib/sort_pairs.h) of unsigned
// keys in the order of the values. Up to 32 bits of value lie below the number of the line in one
// key; for 64 the sort by values is followed by one by lines, which being stable keeps their order.

#include <brume/cuda/kernels/sort.h>

#include <bit>
#include <type_traits>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/lib/sort_pairs.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
constexpr int kBits = 8 * static_cast<int>(sizeof(T));

/// Unsigned, in the order of the values: NaN is largest, the zeros are equal.
template <class T>
__device__ inline uint64_t key_of(T x) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t,
                                  std::conditional_t<sizeof(T) == 4, uint32_t, uint8_t>>;
  constexpr Bits kSign = static_cast<Bits>(Bits{1} << (kBits<T> - 1));
  if constexpr (std::is_floating_point_v<T>) {
    if (x != x) return static_cast<Bits>(~Bits{0});
    const auto bits = std::bit_cast<Bits>(x == 0 ? T(0) : x);
    return bits & kSign ? static_cast<Bits>(~bits) : bits | kSign;
  } else {
    return std::is_signed_v<T> ? static_cast<Bits>(static_cast<Bits>(x) ^ kSign)
                               : static_cast<Bits>(x);
  }
}

// lines: x, positions. An element's value is its number, line n + position.
template <class T>
__global__ void __launch_bounds__(kThreads)
    make_keys(Steps<2> lines, uint32_t count, Divider n, int64_t x_stride, bool descending,
              Pairs pairs) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= count) return;
  const uint32_t line = n.quotient(i), position = i - line * n.divisor();
  int64_t offset[1];
  lines.locate<1>(line, offset);
  const T x = static_cast<const T*>(lines.data[0])[offset[0] + position * x_stride];
  constexpr uint64_t kAll = ~uint64_t{0} >> (64 - kBits<T>);
  uint64_t key = descending ? ~key_of(x) & kAll : key_of(x);
  if constexpr (kBits<T> <= 32) key |= uint64_t{line} << kBits<T>;
  pairs.keys[i] = key;
  pairs.values[i] = i;
}

__global__ void __launch_bounds__(kThreads) make_line_keys(uint32_t count, Divider n, Pairs pairs) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i < count) pairs.keys[i] = n.quotient(pairs.values[i]);
}

__global__ void __launch_bounds__(kThreads) put_positions(Steps<2> lines, uint32_t count, Divider n,
                                                          int64_t stride, const uint32_t* values) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= count) return;
  const uint32_t line = n.quotient(i), first = line * n.divisor();
  int64_t offset[2];
  lines.locate<1>(line, offset);
  static_cast<int64_t*>(lines.data[1])[offset[1] + (i - first) * stride] = values[i] - first;
}

}  // namespace

void argsort(int axis, bool descending, const View& x, const View& positions) {
  constexpr const char* kOp = "argsort";
  const uint32_t count = count32(kOp, numel(x.shape));
  if (count == 0) return;
  const Divider n(static_cast<uint32_t>(x.size(axis)));
  Steps<2> lines;
  lines.count = count / n.divisor();
  lines.data[0] = x.data;
  lines.data[1] = positions.data;
  for (int i = x.rank(); i-- > 0;)
    if (i != axis) add_axis(lines, x.size(i), {x.stride(i), positions.stride(i)});
  const auto blocks = static_cast<uint32_t>(ceil_div(count, kThreads));
  const int line_bits = std::bit_width(lines.count - 1);
  Scratch scratch;
  const auto take = [&] {
    return Pairs{scratch.take<uint64_t>(count), scratch.take<uint32_t>(count)};
  };
  const Pairs first = take(), second = take();
  Pairs sorted{};
  dispatch<float, double, int32_t, int64_t, uint8_t>(x.dtype, kOp, [&]<class T>(Type<T>) {
    launch(make_keys<T>, blocks, kThreads, 0, stream(kOp), lines, count, n, x.stride(axis),
           descending, first);
    const int bits = kBits<T> <= 32 ? kBits<T> + line_bits : kBits<T>;
    sorted = sort_pairs(stream(kOp), first, second, count, bits);
    if (kBits < T >> 32 && line_bits > 0) {
      launch(make_line_keys, blocks, kThreads, 0, stream(kOp), count, n, sorted);
      sorted = sort_pairs(stream(kOp), sorted, sorted.keys == first.keys ? second : first, count,
                          line_bits);
    }
  });
  launch(put_positions, blocks, kThreads, 0, stream(kOp), lines, count, n, positions.stride(axis),
         sorted.values);
}

}  // namespace brume::cuda
