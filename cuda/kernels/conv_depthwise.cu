// Convolutions of each channel by itself. There is no product of matrices in them: they are bound
// by the bytes of x and y. A thread owns the channels of 16 bytes (kWidth); their taps,
// [tap][channel], and the neighbours' pixels come from L1.
//   forward, input gradient   a thread makes one pixel, and walks over its taps in order
//   weight gradient           a block sums a chunk of pixels of up to 32 threads' channels for up
//   to
//                             kTaps taps; chunks follow from shapes alone and are joined in order

#include <brume/cuda/kernels/conv_depthwise.h>

#include <algorithm>

#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/shared.cuh>
#include <brume/cuda/kernels/conv_splits.cuh>
#include <brume/cuda/kernels/conv_terms.cuh>

namespace brume::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
constexpr int kWidth = Pack<T>::kCount;

/// The first `count` of kWidth neighbours, zeros behind them.
template <class T>
__device__ inline Pack<T> load_run(const T* from, int count) {
  if (count == kWidth<T> && is_pack(from)) return load_pack(from);
  Pack<T> x{};
#pragma unroll
  for (int j = 0; j < kWidth<T>; ++j)
    if (j < count) x.at[j] = from[j];
  return x;
}

// w [C, 1, taps] by strides, as [tap][C].
template <class T>
__global__ void __launch_bounds__(kThreads) order_taps(uint32_t n, Divider channels, Unravel taps,
                                                       ImageStrides strides, const T* w, T* to) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= n) return;
  const uint32_t tap = channels.quotient(i);
  Three at;
  taps(tap, at);
  to[i] = w[strides.of(i - tap * channels.divisor(), at)];
}

template <class T>
struct Depthwise {
  Geometry geometry;
  PixelIndex pixels;  // of `to`
  Divider packs;      // of a pixel
  uint32_t threads;
  int channels;
  const T *from, *taps;
  T* to;
  ImageStrides from_strides, to_strides;
  Epilogue<T> epilogue;
};

template <class T, bool kAdjoint>
__global__ void __launch_bounds__(kThreads) convolve_channels(Depthwise<T> p) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= p.threads) return;
  const uint32_t number = p.packs.quotient(i);
  const int channel = static_cast<int>(i - number * p.packs.divisor()) * kWidth<T>;
  const int left = p.channels - channel, count = left < kWidth<T> ? left : kWidth<T>;
  const Pixel pixel = p.pixels(number);
  const T *from = p.from + channel, *taps = p.taps + channel;
  Wide<T> sums[kWidth<T>] = {};
  Three tap;
#pragma unroll 1
  for (tap.at[0] = 0; tap.at[0] < p.geometry.kernel.at[0]; ++tap.at[0])
#pragma unroll 1
    for (tap.at[1] = 0; tap.at[1] < p.geometry.kernel.at[1]; ++tap.at[1])
#pragma unroll 1
      for (tap.at[2] = 0; tap.at[2] < p.geometry.kernel.at[2]; ++tap.at[2], taps += p.channels) {
        Three at;
        if (!(kAdjoint ? p.geometry.output(pixel.at, tap, at)
                       : p.geometry.input(pixel.at, tap, at)))
          continue;
        const Pack<T> x = load_run(from + p.from_strides.of(pixel.sample, at), count);
        const Pack<T> w = load_run(taps, count);
#pragma unroll
        for (int j = 0; j < kWidth<T>; ++j)
          sums[j] += static_cast<Wide<T>>(x.at[j]) * static_cast<Wide<T>>(w.at[j]);
      }
  p.epilogue(sums, count, pixel, channel);
  store_run(p.to + p.to_strides.of(pixel.sample, pixel.at) + channel, sums, count);
}

template <bool kAdjoint>
void convolve(const char* op, const View& from, const View& w, const ConvParams& params,
              const ConvEpilogue& e, const View& to) {
  if (numel(to.shape) == 0) return;
  dispatch<float, double, bf16, f16>(to.dtype, op, [&]<class T>(Type<T>) {
    const View &x = kAdjoint ? to : from, &y = kAdjoint ? from : to;
    const Geometry geometry(x, w, params, y);
    const auto channels = static_cast<uint32_t>(to.size(1));
    const uint32_t numbers = count32(op, product_of(geometry.kernel) * channels);
    Scratch scratch;
    T* taps = scratch.take<T>(numbers);
    launch(order_taps<T>, count32(op, ceil_div(numbers, kThreads)), kThreads, 0, stream(op),
           numbers, Divider(channels), Unravel(geometry.kernel), strides_of(w), w.as<T>(), taps);
    const auto packs = static_cast<uint32_t>(ceil_div(channels, kWidth<T>));
    const int64_t pixels = to.size(0) * product_of(sizes_of(to));
    const uint32_t threads = count32(op, pixels * packs);
    launch(convolve_channels<T, kAdjoint>, count32(op, ceil_div(threads, kThreads)), kThreads, 0,
           stream(op),
           Depthwise<T>{.geometry = geometry,
                        .pixels = {static_cast<uint32_t>(pixels), Unravel(sizes_of(to))},
                        .packs = Divider(packs),
                        .threads = threads,
                        .channels = static_cast<int>(channels),
                        .from = from.as<T>(),
                        .taps = taps,
                        .to = to.as<T>(),
                        .from_strides = strides_of(from),
                        .to_strides = strides_of(to),
                        .epilogue = Epilogue<T>(e)});
  });
}

// ---- weight gradient

constexpr int kTaps = 9;

template <class T>
struct DepthwiseGradient {
  Geometry geometry;
  PixelIndex pixels;  // of gy
  Unravel unravel;    // taps
  int taps, tap_groups, channels;
  int lanes, tiles;  // of kWidth channels each; tiles of lanes
  int64_t chunk;     // pixels
  const T *x, *gy;
  ImageStrides x_strides, gy_strides;
  Wide<T>* part;  // [chunk][tap][channel]
};

// Blocks: chunk, then tile, then group of taps (fastest, since groups read the same pixels).
template <class T>
__global__ void __launch_bounds__(kThreads) channel_weight_gradients(DepthwiseGradient<T> p) {
  using A = Wide<T>;
  SHARED(A, board, [kWidth<T> * kThreads]);
  SHARED(Three, shifts, [kTaps]);  // from stride times a pixel of gy to that of x
  const int t = static_cast<int>(threadIdx.x);
  const int first_tap = static_cast<int>(blockIdx.x) % p.tap_groups * kTaps;
  const auto rest = static_cast<int>(blockIdx.x) / p.tap_groups;
  const int taps = p.taps - first_tap < kTaps ? p.taps - first_tap : kTaps;
  if (t < taps) {
    Three tap;
    p.unravel(static_cast<uint32_t>(first_tap + t), tap);
#pragma unroll
    for (int i = 0; i < 3; ++i)
      shifts[t].at[i] = tap.at[i] * p.geometry.dilation.at[i] - p.geometry.padding.at[i];
  }
  __syncthreads();
  const int first_channel = rest % p.tiles * p.lanes * kWidth<T>;
  const int channel = first_channel + t % p.lanes * kWidth<T>, left = p.channels - channel;
  const int count = left < kWidth<T> ? left : kWidth<T>;
  const int64_t chunk = rest / p.tiles, rows = kThreads / p.lanes;
  const int64_t begin = chunk * p.chunk;
  const int64_t end = begin + p.chunk < p.pixels.count ? begin + p.chunk : p.pixels.count;
  A sums[kTaps][kWidth<T>] = {};
  if (left > 0 && t / p.lanes < rows)
#pragma unroll 1
    for (int64_t i = begin + t / p.lanes; i < end; i += rows) {
      const Pixel pixel = p.pixels(i);
      const Pack<T> g = load_run(p.gy + p.gy_strides.of(pixel.sample, pixel.at) + channel, count);
#pragma unroll
      for (int j = 0; j < kTaps; ++j) {
        if (j >= taps) continue;
        Three at;
        bool inside = true;
#pragma unroll
        for (int k = 0; k < 3; ++k) {
          at.at[k] = pixel.at.at[k] * p.geometry.stride.at[k] + shifts[j].at[k];
          inside &= static_cast<unsigned>(at.at[k]) < static_cast<unsigned>(p.geometry.in.at[k]);
        }
        if (!inside) continue;
        const Pack<T> x = load_run(p.x + p.x_strides.of(pixel.sample, at) + channel, count);
#pragma unroll
        for (int v = 0; v < kWidth<T>; ++v)
          sums[j][v] += static_cast<A>(x.at[v]) * static_cast<A>(g.at[v]);
      }
    }
#pragma unroll
  for (int j = 0; j < kTaps; ++j) {
    if (j >= taps) continue;  // all threads alike
    __syncthreads();          // the last tap has been summed
#pragma unroll
    for (int v = 0; v < kWidth<T>; ++v) board[v * kThreads + t] = sums[j][v];
    __syncthreads();
#pragma unroll 1
    for (int i = t; i < p.lanes * kWidth<T>; i += kThreads) {
      const int lane = i % p.lanes, v = i / p.lanes;
      const int to = first_channel + lane * kWidth<T> + v;
      if (to >= p.channels) continue;
      A total = 0;
#pragma unroll 1
      for (int r = 0; r < rows; ++r) total += board[v * kThreads + r * p.lanes + lane];
      p.part[(chunk * p.taps + first_tap + j) * p.channels + to] = total;
    }
  }
}

}  // namespace

void depthwise_forward(const View& x, const View& w, const ConvParams& params,
                       const ConvEpilogue& epilogue, const View& y) {
  convolve<false>("conv", x, w, params, epilogue, y);
}
void depthwise_input_gradient(const View& gy, const View& w, const ConvParams& params,
                              const ConvEpilogue& epilogue, const View& gx) {
  convolve<true>("conv_input_gradient", gy, w, params, epilogue, gx);
}

void depthwise_weight_gradient(const View& x, const View& gy, const ConvParams& params,
                               const View& gw) {
  constexpr const char* kOp = "conv_weight_gradient";
  dispatch<float, double, bf16, f16>(gw.dtype, kOp, [&]<class T>(Type<T>) {
    const Geometry geometry(x, gw, params, gy);
    const uint32_t taps = count32(kOp, product_of(geometry.kernel));
    const uint32_t pixels = count32(kOp, gy.size(0) * product_of(geometry.out));
    const auto channels = static_cast<int>(gw.size(0));
    const int64_t packs = ceil_div(channels, kWidth<T>), lanes = std::min<int64_t>(packs, 32);
    const int64_t tiles = ceil_div(packs, lanes), tap_groups = ceil_div(taps, kTaps);
    // Four blocks for each of 132 multiprocessors, of at least 8 pixels a thread.
    constexpr int64_t kBlocks = 528, kFewest = 8;
    const int64_t rows = kThreads / lanes;
    const int64_t most = std::max<int64_t>(1, ceil_div(pixels, rows * kFewest));
    const int64_t chunks = std::min(most, ceil_div(kBlocks, tiles * tap_groups));
    const int64_t chunk = ceil_div(ceil_div(pixels, chunks), rows) * rows;
    Scratch scratch;
    const int64_t numbers = numel(gw.shape);
    auto* part = scratch.take<Wide<T>>(chunks * numbers);
    launch(channel_weight_gradients<T>, count32(kOp, chunks * tiles * tap_groups), kThreads, 0,
           stream(kOp),
           DepthwiseGradient<T>{.geometry = geometry,
                                .pixels = {pixels, Unravel(geometry.out)},
                                .unravel = Unravel(geometry.kernel),
                                .taps = static_cast<int>(taps),
                                .tap_groups = static_cast<int>(tap_groups),
                                .channels = channels,
                                .lanes = static_cast<int>(lanes),
                                .tiles = static_cast<int>(tiles),
                                .chunk = chunk,
                                .x = x.as<T>(),
                                .gy = gy.as<T>(),
                                .x_strides = strides_of(x),
                                .gy_strides = strides_of(gy),
                                .part = part});
    launch_join(kOp, numbers, taps, static_cast<uint32_t>(channels), chunks, part, gw.as<T>());
  });
}

}  // namespace brume::cuda
