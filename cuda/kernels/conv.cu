// Family conv: implicit products over [pixel][channel]. Nothing is unfolded in memory: a factor is
// found from (pixel) and (tap, channel), each decoded once per tile or slab.
//   forward          rows: pixels of y,  depth: (tap, ci),  columns: co
//   input gradient   rows: pixels of gx, depth: (tap, co),  columns: ci
//   weight gradient  rows: co,           depth: pixels of gy, columns: (tap, ci); the pixels are
//                    split by a rule of shapes alone, the splits added in order
// For the matrix unit the weights are first put into the order of the depth, [column][tap,
// channel]. Every rank is read as three dimensions; groups are separate products.

#include <brume/core/kernels/conv.h>

#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/matrix_tiles.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/device/vector.cuh>

namespace brume::cuda {
namespace {

/// Three numbers, of the axes d h w.
struct Three {
  int at[3];
};

/// Index -> (outer, d, h, w), the last fastest; outer may be a sample.
struct Unravel {
  Divider size[3];
  explicit Unravel(const Three& s)
      : size{Divider(static_cast<uint32_t>(s.at[0])), Divider(static_cast<uint32_t>(s.at[1])),
             Divider(static_cast<uint32_t>(s.at[2]))} {}
  __device__ uint32_t operator()(uint32_t i, Three& out) const {
#pragma unroll
    for (int axis = 2; axis >= 0; --axis) {
      const uint32_t next = size[axis].quotient(i);
      out.at[axis] = static_cast<int>(i - next * size[axis].divisor());
      i = next;
    }
    return i;
  }
};

struct ImageStrides {
  int64_t batch, space[3];
  __device__ int64_t of(int64_t b, const Three& p) const {
    return b * batch + p.at[0] * space[0] + p.at[1] * space[1] + p.at[2] * space[2];
  }
};

int missing(const View& x) { return 5 - x.rank(); }

ImageStrides strides_of(const View& x) {
  ImageStrides s{};
  if (!x) return s;
  s.batch = x.stride(0);
  for (int i = missing(x); i < 3; ++i) s.space[i] = x.stride(i - missing(x) + 2);
  return s;
}
Three sizes_of(const View& x) {
  Three s{{1, 1, 1}};
  for (int i = missing(x); i < 3; ++i) s.at[i] = static_cast<int>(x.size(i - missing(x) + 2));
  return s;
}
int64_t product_of(const Three& s) { return int64_t{s.at[0]} * s.at[1] * s.at[2]; }

/// Whether the channels of a group, `channels` of them, are read in chunks.
bool in_packs(const View& x, int64_t channels) {
  const ImageStrides s = strides_of(x);
  return cuda::in_packs(x.as<uint16_t>(), channels, {s.batch, s.space[0], s.space[1], s.space[2]});
}

/// Where a pixel of y and a tap meet x.
struct Geometry {
  Three in, out, kernel, stride, padding, dilation;

  Geometry(const View& x, const View& w, const ConvParams& p, const View& y)
      : in(sizes_of(x)), out(sizes_of(y)), kernel(sizes_of(w)) {
    for (int i = 0; i < 3; ++i) {
      const int axis = i - missing(x);
      stride.at[i] = axis < 0 ? 1 : static_cast<int>(p.stride[axis]);
      padding.at[i] = axis < 0 ? 0 : static_cast<int>(p.padding[axis]);
      dilation.at[i] = axis < 0 ? 1 : static_cast<int>(p.dilation[axis]);
    }
  }
  /// False in the padding.
  __device__ bool input(const Three& pixel, const Three& tap, Three& at) const {
    bool inside = true;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      at.at[i] = pixel.at[i] * stride.at[i] - padding.at[i] + tap.at[i] * dilation.at[i];
      inside &= static_cast<unsigned>(at.at[i]) < static_cast<unsigned>(in.at[i]);
    }
    return inside;
  }
  /// The pixel of y that a pixel of x adds to through a tap; false if there is none.
  __device__ bool output(const Three& pixel, const Three& tap, Three& at) const {
    bool inside = true;
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      const int from = pixel.at[i] + padding.at[i] - tap.at[i] * dilation.at[i];
      at.at[i] = from / stride.at[i];
      inside &= from >= 0 && at.at[i] * stride.at[i] == from && at.at[i] < out.at[i];
    }
    return inside;
  }
};

/// A pixel of a sample; a tap of a channel. `there` is false beyond the end.
struct Pixel {
  bool there;
  int64_t sample;
  Three at;
};
struct Tap {
  bool there;
  int channel;
  Three at;
};

struct PixelIndex {
  uint32_t count;
  Unravel unravel;
  __device__ Pixel operator()(int64_t i) const {
    Pixel p{i < count, 0, {}};
    if (p.there) p.sample = unravel(static_cast<uint32_t>(i), p.at);
    return p;
  }
};
struct TapIndex {
  uint32_t count;  // taps * channels
  Divider channels;
  Unravel unravel;
  __device__ Tap operator()(int64_t i) const {
    Tap t{i < count, 0, {}};
    if (!t.there) return t;
    const uint32_t tap = channels.quotient(static_cast<uint32_t>(i));
    t.channel = static_cast<int>(static_cast<uint32_t>(i) - tap * channels.divisor());
    unravel(tap, t.at);
    return t;
  }
};

template <class T>
struct Epilogue {
  const T *bias, *per_sample, *residual;
  int64_t per_sample_row;
  ImageStrides residual_strides;
  Wide<T> scale;
  explicit Epilogue(const ConvEpilogue& e)
      : bias(e.bias.as<T>()),
        per_sample(e.per_sample.as<T>()),
        residual(e.residual.as<T>()),
        per_sample_row(e.per_sample ? e.per_sample.stride(0) : 0),
        residual_strides(strides_of(e.residual)),
        scale(static_cast<Wide<T>>(e.scale)) {}
  template <int kCount>
  __device__ void operator()(Wide<T> (&sums)[kCount], int count, const Pixel& p,
                             int64_t channel) const {
    if (bias) add_run(sums, bias + channel, count);
    if (per_sample) add_run(sums, per_sample + p.sample * per_sample_row + channel, count);
    if (residual) add_run(sums, residual + residual_strides.of(p.sample, p.at) + channel, count);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sums[j] *= scale;
  }
};

// Forward, or (kAdjoint) its adjoint in x.
template <class T, bool kAdjoint>
struct Correlations {
  using Element = T;
  static constexpr bool kADepthFast = true, kBDepthFast = kOnMatrixUnit<T>;

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

// Puts the weights in order, in scratch memory, for the matrix unit.
template <class T, bool kAdjoint>
void with_ordered_weights(const char* op, int64_t groups, const Three& kernel,
                          Correlations<T, kAdjoint>& p, Scratch& scratch) {
  const int64_t depth = p.taps.count, n = groups * p.columns * depth;
  T* to = scratch.take<T>(n);
  launch(order_weights<T, kAdjoint>, count32(op, ceil_div(n, kOrderThreads)), kOrderThreads, 0,
         stream(op), p, n, Divider(p.taps.count), Divider(count32(op, p.columns)), to);
  p.w = to;
  p.w_group = p.columns * depth;
  p.w_column = depth;
  p.w_depth = 1;
  const int64_t channels = p.taps.channels.divisor();
  p.w_space[2] = channels;
  p.w_space[1] = channels * kernel.at[2];
  p.w_space[0] = channels * kernel.at[2] * kernel.at[1];
  p.b_packs = channels % kRun == 0;
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
        .taps = {count32(op, product_of(geometry.kernel) * depth_channels), Divider(depth_channels),
                 Unravel(geometry.kernel)},
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
    if constexpr (kOnMatrixUnit<T>) {
      p.a_packs = in_packs(from, depth_channels);
      with_ordered_weights(op, params.groups, geometry.kernel, p, scratch);
    }
    launch_tiles(op, p, params.groups, p.pixels.count, p.columns);
  });
}

// ---- weight gradient

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

constexpr int kJoinThreads = 256;

// gw [group, row][channel][tap] from part [split][group, row][tap, channel].
template <class T>
__global__ void __launch_bounds__(kJoinThreads)
    join_splits(int64_t n, Divider taps, Divider channels, uint32_t splits, const Wide<T>* part,
                T* gw) {
  const int64_t i = int64_t{blockIdx.x} * kJoinThreads + threadIdx.x;
  if (i >= n) return;
  const auto at = static_cast<uint32_t>(i);
  const uint32_t line = taps.quotient(at), tap = at - line * taps.divisor();  // (row, channel), tap
  const uint32_t row = channels.quotient(line), channel = line - row * channels.divisor();
  const int64_t from = (int64_t{row} * taps.divisor() + tap) * channels.divisor() + channel;
  double total = 0;
#pragma unroll 1
  for (uint32_t s = 0; s < splits; ++s) total += static_cast<double>(part[s * n + from]);
  gw[i] = static_cast<T>(static_cast<Wide<T>>(total));
}

void weight_gradient(const View& x, const View& gy, const ConvParams& params, const View& gw,
                     const View& gb) {
  constexpr const char* kOp = "conv_weight_gradient";
  if (numel(gw.shape) > 0)
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
          .a_packs = in_packs(gy, co),
          .b_packs = in_packs(x, ci)};
      launch_tiles(kOp, p, splits * params.groups, co, ci * taps);
      launch(join_splits<T>, count32(kOp, ceil_div(numbers, kJoinThreads)), kJoinThreads, 0,
             stream(kOp), numbers, Divider(taps), Divider(channels), static_cast<uint32_t>(splits),
             part, gw.as<T>());
    });
  if (!gb) return;
  Shape each = Shape::filled(gy.rank(), 1);
  each[1] = gy.size(1);
  cuda_reduce.reduce(ReduceOp::sum, 1, gy, {gb.data, gb.dtype, each, dense_strides(each)});
}

void forward(const View& x, const View& w, const ConvParams& p, const ConvEpilogue& e,
             const View& y) {
  correlate<false>("conv", x, w, p, e, y);
}
void input_gradient(const View& gy, const View& w, const ConvParams& p, const ConvEpilogue& e,
                    const View& gx) {
  correlate<true>("conv_input_gradient", gy, w, p, e, gx);
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const ConvKernels cuda_conv{.forward = cuda::forward,
                            .input_gradient = cuda::input_gradient,
                            .weight_gradient = cuda::weight_gradient};

}  // namespace brume
