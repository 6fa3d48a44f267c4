// Family conv: implicit products over [pixel][channel]. Nothing is unfolded in memory: a factor is
// found from (pixel) and (tap, channel), each decoded once per tile or slab.
//   forward          rows: pixels of y,  depth: (tap, ci),  columns: co
//   input gradient   rows: pixels of gx, depth: (tap, co),  columns: ci
// The weights are first put into the order of the depth, [column][tap, channel]. Groups are
// separate products; the weight gradient is in conv_weight.cu.

#include <brume/core/kernels/conv.h>

#include <brume/cuda/kernels/conv_depthwise.h>
#include <brume/cuda/kernels/conv_library.h>
#include <brume/cuda/kernels/conv_weight.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/matrix_tiles.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/kernels/conv_terms.cuh>

namespace brume::cuda {
namespace {

// Forward, or (kAdjoint) its adjoint in x.
template <class T, bool kAdjoint>
struct Correlations {
  using Element = T;
  static constexpr bool kADepthFast = true, kBDepthFast = true;

  Geometry geometry;
  PixelIndex pixels;  // of `to`
  TapIndex taps;      // with the channels of `from`
  const T* from;
  T* to;
  ImageStrides from_strides, to_strides;
  const T* w;
  int64_t w_column, w_depth, w_space[3], w_group;
  int64_t columns;
  Epilogue<T> epilogue;
  bool a_packs, b_packs;
};

template <class T, bool kAdjoint>
struct Correlation {
  using A = Wide<T>;
  using Row = Pixel;
  using Depth = Tap;
  using Column = int64_t;  // -1 beyond the end

  const Correlations<T, kAdjoint>& all;
  int64_t group;
  const T *a_data, *b_data;  // of the group

  __device__ Correlation(const Correlations<T, kAdjoint>& all_, uint32_t number)
      : all(all_),
        group(number),
        a_data(all.from + group * all.taps.channels.divisor()),
        b_data(all.w + group * all.w_group) {}
  __device__ TileRange range() const { return {all.pixels.count, all.columns, 0, all.taps.count}; }
  __device__ Row row(int64_t m) const { return all.pixels(m); }
  __device__ Column column(int64_t n) const { return n < all.columns ? n : -1; }
  __device__ Depth depth(int64_t k) const { return all.taps(k); }
  __device__ const T* a(const Row& p, const Depth& t) const {
    Three at;
    if (!p.there || !t.there) return nullptr;
    if (!(kAdjoint ? all.geometry.output(p.at, t.at, at) : all.geometry.input(p.at, t.at, at)))
      return nullptr;
    return a_data + all.from_strides.of(p.sample, at) + t.channel;
  }
  __device__ const T* b(Column n, const Depth& t) const {
    if (n < 0 || !t.there) return nullptr;
    return b_data + n * all.w_column + t.channel * all.w_depth + t.at.at[0] * all.w_space[0] +
           t.at.at[1] * all.w_space[1] + t.at.at[2] * all.w_space[2];
  }
  template <int kCount>
  __device__ void store(int64_t m, int64_t n, A (&sums)[kCount], int count) const {
    const Pixel p = all.pixels(m);
    const int64_t channel = group * all.columns + n;
    all.epilogue(sums, count, p, channel);
    store_run(all.to + all.to_strides.of(p.sample, p.at) + channel, sums, count);
  }
};

template <class T, bool kAdjoint>
__device__ inline Correlation<T, kAdjoint> one_of(const Correlations<T, kAdjoint>& all,
                                                  uint32_t number) {
  return {all, number};
}

constexpr int kOrderThreads = 256;

// The n weights as [group][column][tap, channel]; a line is one column of one group.
template <class T, bool kAdjoint>
__global__ void __launch_bounds__(kOrderThreads)
    order_weights(Correlations<T, kAdjoint> p, int64_t n, Divider line, Divider columns, T* to) {
  const int64_t i = int64_t{blockIdx.x} * kOrderThreads + threadIdx.x;
  if (i >= n) return;
  const auto at = static_cast<uint32_t>(i);
  const uint32_t lines = line.quotient(at), group = columns.quotient(lines);
  const auto depth = p.taps(at - lines * line.divisor());
  to[i] = *one_of(p, group).b(lines - group * columns.divisor(), depth);
}

// Puts the weights in order, in scratch memory.
template <class T, bool kAdjoint>
void order_weights_of(const char* op, int64_t groups, const Three& kernel,
                      Correlations<T, kAdjoint>& p, Scratch& scratch) {
  const int64_t channels = p.taps.channels.divisor(), depth = p.taps.count;
  const int64_t n = groups * p.columns * depth;
  if (n == 0) return;  // a sum over no channels
  T* to = scratch.take<T>(n);
  launch(order_weights<T, kAdjoint>, count32(op, ceil_div(n, kOrderThreads)), kOrderThreads, 0,
         stream(op), p, n, Divider(p.taps.count), Divider(count32(op, p.columns)), to);
  p.w = to;
  p.w_group = p.columns * depth;
  p.w_column = depth;
  p.w_depth = 1;
  p.w_space[2] = channels;
  p.w_space[1] = channels * kernel.at[2];
  p.w_space[0] = channels * kernel.at[2] * kernel.at[1];
  p.b_packs = channels % kChunkCount<T> == 0;
}

template <bool kAdjoint>
void correlate(const char* op, const View& from, const View& w, const ConvParams& params,
               const ConvEpilogue& e, const View& to) {
  if (numel(to.shape) == 0) return;
  dispatch<float, double, bf16, f16>(to.dtype, op, [&]<class T>(Type<T>) {
    const View &x = kAdjoint ? to : from, &y = kAdjoint ? from : to;
    const int64_t co = w.size(0) / params.groups, ci = w.size(1);
    const Geometry geometry(x, w, params, y);
    const auto depth_channels = static_cast<uint32_t>(kAdjoint ? co : ci);
    Correlations<T, kAdjoint> p{
        .geometry = geometry,
        .pixels = {count32(op, to.size(0) * product_of(sizes_of(to))), Unravel(sizes_of(to))},
        .taps = {count32(op, product_of(geometry.kernel) * depth_channels),
                 Divider(depth_channels > 0 ? depth_channels : 1), Unravel(geometry.kernel)},
        .from = from.as<T>(),
        .to = to.as<T>(),
        .from_strides = strides_of(from),
        .to_strides = strides_of(to),
        .w = w.as<T>(),
        .w_column = kAdjoint ? w.stride(1) : w.stride(0),
        .w_depth = kAdjoint ? w.stride(0) : w.stride(1),
        .w_space = {},
        .w_group = co * w.stride(0),
        .columns = kAdjoint ? ci : co,
        .epilogue = Epilogue<T>(e),
        .a_packs = false,
        .b_packs = false};
    for (int i = 0; i < 3; ++i) p.w_space[i] = strides_of(w).space[i];
    Scratch scratch;
    p.a_packs = in_packs<T>(from, depth_channels);
    order_weights_of(op, params.groups, geometry.kernel, p, scratch);
    launch_tiles(op, p, params.groups, p.pixels.count, p.columns);
  });
}

void forward(const View& x, const View& w, const ConvParams& p, const ConvEpilogue& e,
             const View& y) {
  if (conv_by_library("conv", false, x, w, p, e, y)) return;
  if (is_depthwise(w, p)) return depthwise_forward(x, w, p, e, y);
  correlate<false>("conv", x, w, p, e, y);
}
void input_gradient(const View& gy, const View& w, const ConvParams& p, const ConvEpilogue& e,
                    const View& gx) {
  if (conv_by_library("conv_input_gradient", true, gy, w, p, e, gx)) return;
  if (is_depthwise(w, p)) return depthwise_input_gradient(gy, w, p, e, gx);
  correlate<true>("conv_input_gradient", gy, w, p, e, gx);
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const ConvKernels cuda_conv{.forward = cuda::forward,
                            .input_gradient = cuda::input_gradient,
                            .weight_gradient = cuda::conv_weight_gradient};

}  // namespace brume
