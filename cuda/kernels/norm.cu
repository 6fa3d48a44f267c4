// Family norm: norms and softmax over rows [R, D]. A warp takes a row of up to 1,024 elements, a
// block of 256 a longer one. A row is read two or three times, all but the first from L1: traffic
// is one read and one write. Gradients of weight and bias are channel sums over the rows of a line.

#include <brume/core/kernels/norm.h>

#include <brume/cuda/channel_grid.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/kernels/group_norm.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/device/channel_sums.cuh>
#include <brume/cuda/device/reduce.cuh>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kWarpRow = 1024;

/// A row and the threads that share it: a warp, or a block.
template <bool kBlock>
struct Row {
  int64_t number;
  int first, step;  // of the elements of this thread

  __device__ Row()
      : number(kBlock ? blockIdx.x
                      : int64_t{blockIdx.x} * (kThreads / kWarpLanes) + threadIdx.x / kWarpLanes),
        first(static_cast<int>(threadIdx.x) % (kBlock ? kThreads : kWarpLanes)),
        step(kBlock ? kThreads : kWarpLanes) {}

  template <class Op, class A>
  __device__ A reduce(A value) const {
    if constexpr (kBlock)
      return block_reduce<Op>(value);
    else
      return warp_reduce<Op>(value);
  }
  /// Sum over the row of f(element).
  template <class A, class F>
  __device__ A sum(int width, F f) const {
    A total = 0;
#pragma unroll 4
    for (int i = first; i < width; i += step) total += f(i);
    return reduce<Sum>(total);
  }
};

template <class... P, class... A>
void launch_rows(void (*of_block)(int64_t, P...), void (*of_warp)(int64_t, P...), const char* op,
                 int64_t rows, int64_t width, A&&... args) {
  const bool block = width > kWarpRow;
  const int64_t blocks = block ? rows : ceil_div(rows, kThreads / kWarpLanes);
  launch(block ? of_block : of_warp, count32(op, blocks), kThreads, 0, stream(op), rows,
         std::forward<A>(args)...);
}

// ---- softmax

template <class T, bool kLog, bool kBlock>
__global__ void __launch_bounds__(kThreads, 4)
    softmax_rows(int64_t rows, int width, const T* x, T* y) {
  using A = Wide<T>;
  const Row<kBlock> row;
  if (row.number >= rows) return;  // a whole warp
  x += row.number * width;
  y += row.number * width;
  A most = Max::identity<A>();
#pragma unroll 4
  for (int i = row.first; i < width; i += row.step) most = Max::join(most, static_cast<A>(x[i]));
  most = row.template reduce<Max>(most);
  const auto away = [&](int i) { return static_cast<A>(x[i]) - most; };
  const A total = row.template sum<A>(width, [&](int i) { return exp_of(away(i)); });
  const A term = kLog ? log_of(total) : 1 / total;
#pragma unroll 4
  for (int i = row.first; i < width; i += row.step)
    y[i] = static_cast<T>(kLog ? away(i) - term : exp_of(away(i)) * term);
}

template <bool kLog>
void softmax(const View& x, const View& y) {
  const char* op = kLog ? "log_softmax" : "softmax";
  dispatch<float, double, bf16, f16>(x.dtype, op, [&]<class T>(Type<T>) {
    launch_rows(softmax_rows<T, kLog, true>, softmax_rows<T, kLog, false>, op, x.size(0), x.size(1),
                static_cast<int>(count32(op, x.size(1))), x.as<T>(), y.as<T>());
  });
}

// ---- layer norm, rms norm

/// Lines [G, D] that rows share; null = absent.
template <class T>
struct Lines {
  const T* data;
  int64_t stride, rows_per_line;
  Wide<T> plus, absent;

  Lines(const View& v, int64_t rows, double offset, double absent_)
      : data(v.as<T>()),
        stride(v ? v.stride(0) : 0),
        rows_per_line(v ? rows / v.size(0) : rows),
        plus(static_cast<Wide<T>>(offset)),
        absent(static_cast<Wide<T>>(absent_)) {}
  /// The line of a row.
  __device__ const T* of(int64_t row) const {
    return data ? data + row / rows_per_line * stride : nullptr;
  }
  __device__ Wide<T> at(const T* line, int i) const {
    return line ? static_cast<Wide<T>>(line[i]) + plus : absent;
  }
};

template <class T, bool kBlock>
__global__ void __launch_bounds__(kThreads)
    row_norm_rows(int64_t rows, int width, Wide<T> eps, const T* x, Lines<T> weight, Lines<T> bias,
                  T* y, Wide<T>* mean, Wide<T>* rstd) {
  using A = Wide<T>;
  const Row<kBlock> row;
  if (row.number >= rows) return;
  x += row.number * width;
  y += row.number * width;
  const T *w = weight.of(row.number), *b = bias.of(row.number);
  const A n = static_cast<A>(width);
  A m = 0;
  if (mean) m = row.template sum<A>(width, [&](int i) { return static_cast<A>(x[i]); }) / n;
  const A squares = row.template sum<A>(width, [&](int i) {
    const A d = static_cast<A>(x[i]) - m;
    return d * d;
  });
  const A r = 1 / root_of(squares / n + eps);
#pragma unroll 4
  for (int i = row.first; i < width; i += row.step)
    y[i] = static_cast<T>((static_cast<A>(x[i]) - m) * r * weight.at(w, i) + bias.at(b, i));
  if (row.first > 0) return;
  rstd[row.number] = r;
  if (mean) mean[row.number] = m;
}

template <class T, bool kBlock>
__global__ void __launch_bounds__(kThreads)
    row_norm_gradient(int64_t rows, int width, const T* x, Lines<T> weight, const Wide<T>* mean,
                      const Wide<T>* rstd, const T* gy, T* gx) {
  using A = Wide<T>;
  const Row<kBlock> row;
  if (row.number >= rows) return;
  x += row.number * width;
  gy += row.number * width;
  gx += row.number * width;
  const T* w = weight.of(row.number);
  const A m = mean ? mean[row.number] : A(0), r = rstd[row.number];
  const auto normal = [&](int i) { return (static_cast<A>(x[i]) - m) * r; };
  const auto g = [&](int i) { return static_cast<A>(gy[i]) * weight.at(w, i); };
  const A n = static_cast<A>(width);
  const A along = row.template sum<A>(width, [&](int i) { return g(i) * normal(i); }) / n;
  const A level = mean ? row.template sum<A>(width, g) / n : A(0);
#pragma unroll 4
  for (int i = row.first; i < width; i += row.step)
    gx[i] = static_cast<T>(r * (g(i) - level - normal(i) * along));
}

// Lines are the images, their rows the pixels.
template <class T, int kV>
__global__ void __launch_bounds__(kChannelThreads)
    line_sums(ChannelGrid g, const T* x, const Wide<T>* mean, const Wide<T>* rstd, const T* gy,
              Wide<T>* part) {
  const ChannelShare<kV> mine(g);
  channel_sums<2, kV>(g, mine, part, [&](int64_t pixel, Wide<T>(&sums)[2][kV]) {
    const int64_t row = mine.image * g.pixels + pixel;
    const Wide<T> m = mean ? mean[row] : Wide<T>(0), r = rstd[row];
    Wide<T> v[kV], go[kV];
    load_wide<kV>(x + mine.at(g, pixel), v);
    load_wide<kV>(gy + mine.at(g, pixel), go);
#pragma unroll
    for (int i = 0; i < kV; ++i) {
      sums[0][i] += go[i] * ((v[i] - m) * r);
      sums[1][i] += go[i];
    }
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    join_lines(ChannelGrid g, const Wide<T>* part, T* gweight, T* gbias) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= g.images * g.channels) return;
  const int64_t line = i / g.channels, c = i % g.channels;
  double totals[2] = {0, 0};
#pragma unroll 1
  for (int chunk = 0; chunk < g.chunks; ++chunk)
#pragma unroll
    for (int n = 0; n < 2; ++n)
      totals[n] += static_cast<double>(part[((line * g.chunks + chunk) * 2 + n) * g.channels + c]);
  if (gweight) gweight[i] = static_cast<T>(static_cast<Wide<T>>(totals[0]));
  if (gbias) gbias[i] = static_cast<T>(static_cast<Wide<T>>(totals[1]));
}

void row_norm(const View& x, const View& weight, const View& bias, const RowNormParams& p,
              const View& y, const View& mean, const View& rstd) {
  constexpr const char* kOp = "row_norm";
  const int64_t rows = x.size(0);
  dispatch<float, double, bf16, f16>(x.dtype, kOp, [&]<class T>(Type<T>) {
    launch_rows(row_norm_rows<T, true>, row_norm_rows<T, false>, kOp, rows, x.size(1),
                static_cast<int>(count32(kOp, x.size(1))), static_cast<Wide<T>>(p.eps), x.as<T>(),
                Lines<T>(weight, rows, p.weight_offset, 1), Lines<T>(bias, rows, 0, 0), y.as<T>(),
                p.center ? mean.as<Wide<T>>() : nullptr, rstd.as<Wide<T>>());
  });
}

void row_norm_backward(const View& x, const View& weight, const View& mean, const View& rstd,
                       const RowNormParams& p, const View& gy, const View& gx, const View& gweight,
                       const View& gbias) {
  constexpr const char* kOp = "row_norm_backward";
  const int64_t rows = x.size(0), width = x.size(1);
  dispatch<float, double, bf16, f16>(x.dtype, kOp, [&]<class T>(Type<T>) {
    const auto* m = p.center ? mean.as<Wide<T>>() : nullptr;
    launch_rows(row_norm_gradient<T, true>, row_norm_gradient<T, false>, kOp, rows, width,
                static_cast<int>(count32(kOp, width)), x.as<T>(),
                Lines<T>(weight, rows, p.weight_offset, 1), m, rstd.as<Wide<T>>(), gy.as<T>(),
                gx.as<T>());
    if (!gweight && !gbias) return;
    const int64_t lines = gweight ? gweight.size(0) : gbias.size(0);
    const bool packs = fits_channel_packs(width, Pack<T>::kCount, x.as<T>(), gy.as<T>());
    const ChannelGrid g =
        channel_grid(lines, lines == 0 ? 0 : rows / lines, width, packs ? Pack<T>::kCount : 1);
    Scratch scratch;
    auto* part = scratch.take<Wide<T>>(2 * lines * width * g.chunks);
    launch_channels(packs ? line_sums<T, Pack<T>::kCount> : line_sums<T, 1>, kOp, g, x.as<T>(), m,
                    rstd.as<Wide<T>>(), gy.as<T>(), part);
    launch(join_lines<T>, count32(kOp, ceil_div(lines * width, kThreads)), kThreads, 0, stream(kOp),
           g, part, gweight.as<T>(), gbias.as<T>());
  });
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const NormKernels cuda_norm{.group_norm = cuda::group_norm,
                            .group_norm_backward = cuda::group_norm_backward,
                            .row_norm = cuda::row_norm,
                            .row_norm_backward = cuda::row_norm_backward,
                            .softmax = cuda::softmax<false>,
                            .log_softmax = cuda::softmax<true>};

}  // namespace brume
