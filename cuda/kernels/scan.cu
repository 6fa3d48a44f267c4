// Recurrences y[i] = a[i] y[i - 1] + b[i] along lines. An element is the map s -> m s + c; the maps
// of a piece of a line are joined, a prefix over the pieces gives each its first state, and a
// second pass writes. 256 threads share 256 / pieces lines. Reads a and b twice, the second time
// from L2.

#include <brume/cuda/kernels/scan.h>

#include <brume/core/dtype.h>
#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/element.cuh>
#include <brume/cuda/device/shared.cuh>

namespace brume::cuda {
namespace {

constexpr uint32_t kThreads = 256;
constexpr int64_t kPiece = 16;  // elements that are worth a thread

struct Line {
  int64_t n;
  int64_t stride[3];  // y, a, b
  bool backward;
};

template <class S>
struct Map {
  S m, c;
};
/// first, then second. Without a sum there is no c: 0 times a product that overflowed is no number.
template <class S>
__device__ inline Map<S> then(const Map<S>& first, const Map<S>& second, bool sums) {
  return {first.m * second.m, sums ? first.c * second.m + second.c : S(0)};
}

// lines: y, a, b. A thread takes one piece of one line.
template <class T, class S>
__global__ void __launch_bounds__(kThreads) scan_lines(Steps<3> lines, Line line, uint32_t pieces) {
  SHARED(Map<S>, maps, [kThreads]);
  const uint32_t t = threadIdx.x, piece = t % pieces;
  const uint32_t number = blockIdx.x * (kThreads / pieces) + t / pieces;
  const T *a = static_cast<const T*>(lines.data[1]), *b = static_cast<const T*>(lines.data[2]);
  T* y = static_cast<T*>(lines.data[0]);
  int64_t begin = 0, end = 0;
  int64_t at[3] = {0, 0, 0};
  if (number < lines.count) {
    lines.locate<1>(number, at);
    const int64_t size = (line.n + pieces - 1) / pieces;
    begin = piece * size < line.n ? piece * size : line.n;
    end = begin + size < line.n ? begin + size : line.n;
  }
  const auto element = [&](int64_t k) {
    const int64_t i = line.backward ? line.n - 1 - k : k;
    return Map<S>{a ? static_cast<S>(a[at[1] + i * line.stride[1]]) : S(1),
                  b ? static_cast<S>(b[at[2] + i * line.stride[2]]) : S(0)};
  };
  Map<S> mine{S(1), S(0)};
#pragma unroll 1
  for (int64_t k = begin; k < end; ++k) mine = then(mine, element(k), b != nullptr);
  maps[t] = mine;
#pragma unroll 1
  for (uint32_t back = 1; back < pieces; back *= 2) {
    __syncthreads();
    const Map<S> before = piece >= back ? maps[t - back] : Map<S>{S(1), S(0)};
    __syncthreads();
    maps[t] = then(before, maps[t], b != nullptr);
  }
  __syncthreads();
  const Map<S> before = piece > 0 ? maps[t - 1] : Map<S>{S(1), S(0)};
  S state = b ? before.c : before.m;  // sums begin at 0, products at 1
#pragma unroll 1
  for (int64_t k = begin; k < end; ++k) {
    const Map<S> e = element(k);
    state = e.m * state + e.c;
    y[at[0] + (line.backward ? line.n - 1 - k : k) * line.stride[0]] = static_cast<T>(state);
  }
}

}  // namespace

void scan(const View& a, const View& b, int axis, bool backward, const View& y) {
  const int64_t n = y.size(axis);
  if (numel(y.shape) == 0) return;
  Steps<3> lines;
  lines.count = count32("scan", numel(y.shape) / n);
  const View* views[] = {&y, &a, &b};
  Line line{.n = n, .stride = {}, .backward = backward};
  for (int k = 0; k < 3; ++k)
    if (*views[k]) {
      lines.data[k] = views[k]->data;
      line.stride[k] = views[k]->stride(axis);
    }
  for (int i = y.rank(); i-- > 0;)
    if (i != axis)
      add_axis(lines, y.size(i),
               {y.stride(i), a ? a.stride(i) : int64_t{0}, b ? b.stride(i) : int64_t{0}});
  uint32_t pieces = 1;
  while (pieces < kThreads && pieces * kPiece < n) pieces *= 2;
  const auto blocks = static_cast<uint32_t>(ceil_div(lines.count, kThreads / pieces));
  dispatch<float, double, int64_t>(y.dtype, "scan", [&]<class T>(Type<T>) {
    using State = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
    launch(scan_lines<T, State>, blocks, kThreads, 0, stream("scan"), lines, line, pieces);
  });
}

}  // namespace brume::cuda
