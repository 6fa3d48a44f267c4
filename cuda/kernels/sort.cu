// A stable merge sort of positions, every line at once. In a pass over runs of w elements a thread
// takes one element and finds by bisection how many of the neighbouring run stand before it: its
// place in the merged run is known without talking to anyone. log2(n) launches, n log(w) reads
// each.

#include <brume/cuda/kernels/sort.h>

#include <utility>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/bound.cuh>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

struct Pass {
  int64_t n, width;
  int64_t x_stride, to_stride;
  bool descending;
  const int64_t* from;  // [line][n]; null: every position in its place
  int64_t* to;          // [line][n]; null: the result
};

/// NaN is largest.
template <class T>
__device__ inline bool is_less(T a, T b) {
  return a < b || (b != b && a == a);
}

// lines: x, positions.
template <class T>
__global__ void __launch_bounds__(kThreads) merge_runs(Steps<2> lines, Pass pass) {
  const int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t line = at / pass.n, i = at % pass.n;
  if (line >= lines.count) return;
  int64_t offset[2];
  lines.locate<1>(static_cast<uint32_t>(line), offset);
  const T* x = static_cast<const T*>(lines.data[0]) + offset[0];
  const int64_t* from = pass.from ? pass.from + line * pass.n : nullptr;
  const auto position = [&](int64_t k) { return from ? from[k] : k; };
  const auto value = [&](int64_t k) { return x[position(k) * pass.x_stride]; };
  const auto stands_before = [&](T a, T b) {
    return pass.descending ? is_less(b, a) : is_less(a, b);
  };
  const int64_t begin = i / (2 * pass.width) * (2 * pass.width);
  const int64_t middle = begin + pass.width < pass.n ? begin + pass.width : pass.n;
  const int64_t end = begin + 2 * pass.width < pass.n ? begin + 2 * pass.width : pass.n;
  const T mine = value(i);
  // Of two equal elements the left one stays in front.
  const int64_t place =
      i < middle
          ? i + first_not(middle, end, [&](int64_t k) { return stands_before(value(k), mine); }) -
                middle
          : i - middle +
                first_not(begin, middle, [&](int64_t k) { return !stands_before(mine, value(k)); });
  if (pass.to)
    pass.to[line * pass.n + place] = position(i);
  else
    static_cast<int64_t*>(lines.data[1])[offset[1] + place * pass.to_stride] = position(i);
}

}  // namespace

void argsort(int axis, bool descending, const View& x, const View& positions) {
  constexpr const char* kOp = "argsort";
  const int64_t n = x.size(axis), count = numel(x.shape);
  if (count == 0) return;
  Steps<2> lines;
  lines.count = count32(kOp, count / n);
  lines.data[0] = x.data;
  lines.data[1] = positions.data;
  for (int i = x.rank(); i-- > 0;)
    if (i != axis) add_axis(lines, x.size(i), {x.stride(i), positions.stride(i)});
  Scratch scratch;
  int64_t *from = scratch.take<int64_t>(count), *to = scratch.take<int64_t>(count);
  dispatch<float, double, int32_t, int64_t, uint8_t>(x.dtype, kOp, [&]<class T>(Type<T>) {
    for (int64_t width = 1; width == 1 || width < n; width *= 2) {
      const bool last = 2 * width >= n;
      launch(merge_runs<T>, count32(kOp, ceil_div(count, kThreads)), kThreads, 0, stream(kOp),
             lines,
             Pass{n, width, x.stride(axis), positions.stride(axis), descending,
                  width == 1 ? nullptr : from, last ? nullptr : to});
      std::swap(from, to);
    }
  });
}

}  // namespace brume::cuda
