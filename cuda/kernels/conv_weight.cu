// The gradient of convolutions in their weights, an implicit product as in conv.cu. Rows: co,
// depth: pixels of gy, columns: (tap, ci); the pixels are split by a rule of shapes alone, the
// splits added in order.

#include <brume/cuda/kernels/conv_weight.h>

#include <brume/cuda/kernels/conv_depthwise.h>
#include <brume/cuda/kernels/conv_library.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/matrix_tiles.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/kernels/conv_splits.cuh>
#include <brume/cuda/kernels/conv_terms.cuh>

namespace brume::cuda {
namespace {

template <class T>
struct WeightGradients {
  using Element = T;
  static constexpr bool kADepthFast = false, kBDepthFast = false;

  Geometry geometry;
  PixelIndex pixels;
  TapIndex taps;
  const T *x, *gy;
  ImageStrides x_strides, gy_strides;
  int64_t rows;
  int64_t split_pixels;
  Wide<T>* part;  // [split][group][row][tap, channel]
  uint32_t groups;
  bool a_packs, b_packs;
};

template <class T>
struct WeightGradient {
  using A = Wide<T>;
  using Row = int64_t;  // -1 beyond the end
  using Column = Tap;
  using Depth = Pixel;

  const WeightGradients<T>& all;
  int64_t begin;
  const T *a_data, *b_data;  // gy and x of the group
  A* part;

  __device__ WeightGradient(const WeightGradients<T>& all_, uint32_t number)
      : all(all_),
        begin(number / all.groups * all.split_pixels),
        a_data(all.gy + number % all.groups * all.rows),
        b_data(all.x + number % all.groups * all.taps.channels.divisor()),
        part(all.part + static_cast<int64_t>(number) * all.rows * all.taps.count) {}
  __device__ TileRange range() const {
    const int64_t end = begin + all.split_pixels;
    return {all.rows, all.taps.count, begin, end < all.pixels.count ? end : all.pixels.count};
  }
  __device__ Row row(int64_t m) const { return m < all.rows ? m : -1; }
  __device__ Column column(int64_t n) const { return all.taps(n); }
  __device__ Depth depth(int64_t k) const { return all.pixels(k); }
  __device__ const T* a(Row m, const Depth& p) const {
    return m >= 0 && p.there ? a_data + all.gy_strides.of(p.sample, p.at) + m : nullptr;
  }
  __device__ const T* b(const Column& t, const Depth& p) const {
    Three at;
    if (!p.there || !t.there || !all.geometry.input(p.at, t.at, at)) return nullptr;
    return b_data + all.x_strides.of(p.sample, at) + t.channel;
  }
  template <int kCount>
  __device__ void store(int64_t m, int64_t n, A (&sums)[kCount], int count) const {
    store_run(part + m * all.taps.count + n, sums, count);
  }
};

template <class T>
__device__ inline WeightGradient<T> one_of(const WeightGradients<T>& all, uint32_t number) {
  return {all, number};
}

constexpr const char* kOp = "conv_weight_gradient";

void multiply_pixels(const View& x, const View& gy, const ConvParams& params, const View& gw) {
  if (numel(gw.shape) == 0) return;
  dispatch<float, double, bf16, f16>(gw.dtype, kOp, [&]<class T>(Type<T>) {
    const Geometry geometry(x, gw, params, gy);
    const int64_t co = gw.size(0) / params.groups, ci = gw.size(1);
    const uint32_t taps = count32(kOp, product_of(geometry.kernel));
    const auto channels = static_cast<uint32_t>(ci);
    const uint32_t pixels = count32(kOp, gy.size(0) * product_of(geometry.out));
    // Two blocks for each of 132 multiprocessors, of at least 512 pixels.
    constexpr int64_t kBlocks = 264, kFewest = 512;
    const int64_t tiles = ceil_div(co, 64) * ceil_div(ci * taps, 64) * params.groups;
    int64_t splits = ceil_div(kBlocks, tiles);
    if (splits * kFewest > pixels) splits = ceil_div(pixels, kFewest);
    if (splits < 1) splits = 1;
    const int64_t split_pixels = ceil_div(ceil_div(pixels, splits), kSlab) * kSlab;
    Scratch scratch;
    const int64_t numbers = numel(gw.shape);
    auto* part = scratch.take<Wide<T>>(splits * numbers);
    const WeightGradients<T> p{
        .geometry = geometry,
        .pixels = {pixels, Unravel(geometry.out)},
        .taps = {count32(kOp, ci * taps), Divider(channels), Unravel(geometry.kernel)},
        .x = x.as<T>(),
        .gy = gy.as<T>(),
        .x_strides = strides_of(x),
        .gy_strides = strides_of(gy),
        .rows = co,
        .split_pixels = split_pixels,
        .part = part,
        .groups = static_cast<uint32_t>(params.groups),
        .a_packs = in_packs<T>(gy, co),
        .b_packs = in_packs<T>(x, ci)};
    launch_tiles(kOp, p, splits * params.groups, co, ci * taps);
    launch_join(kOp, numbers, taps, channels, splits, part, gw.as<T>());
  });
}

}  // namespace

void conv_weight_gradient(const View& x, const View& gy, const ConvParams& params, const View& gw,
                          const View& gb) {
  if (!conv_weight_gradient_by_library(kOp, x, gy, params, gw)) {
    if (is_depthwise(gw, params))
      depthwise_weight_gradient(x, gy, params, gw);
    else
      multiply_pixels(x, gy, params, gw);
  }
  if (!gb) return;
  Shape each = Shape::filled(gy.rank(), 1);
  each[1] = gy.size(1);
  cuda_reduce.reduce(ReduceOp::sum, 1, gy, {gb.data, gb.dtype, each, dense_strides(each)});
}

}  // namespace brume::cuda
