#pragma once
// Sums per image and channel over pixels, for tensors [image][pixel][channel]: what norms, biases
// and modulations need of their gradients.
//
// A lane owns kV neighbouring channels (16 bytes, or one element), up to 32 lanes stand beside each
// other, the rest of a block's 256 threads goes down the pixels of a chunk. A block writes its sums
// to part [image][chunk][sum][channel]; whoever needs them joins the chunks in order. Chunks follow
// from the shape of one image alone, so an image's bits depend neither on its batch nor on the GPU.

#include <cuda_runtime.h>

#include <cstdint>

#include <brume/cuda/device/math.cuh>
#include <brume/cuda/device/shared.cuh>
#include <brume/cuda/device/vector.cuh>

namespace brume::cuda {

constexpr int kChannelThreads = 256;

struct ChannelGrid {
  int64_t images = 0, pixels = 0;
  int channels = 0;
  int lanes = 1, tiles = 1;  // of kV channels each; tiles of lanes
  int64_t chunk = 1;         // pixels
  int chunks = 1;            // per image

  __host__ __device__ int rows() const { return kChannelThreads / lanes; }
};

/// What a thread works on.
template <int kV>
struct ChannelShare {
  int64_t image;
  int chunk, channel;  // the first of kV channels
  int64_t begin, end;  // pixels begin, begin + step, ...
  int step;
  bool busy;

  __device__ explicit ChannelShare(const ChannelGrid& g) {
    const int t = static_cast<int>(threadIdx.x);
    const uint32_t per_image = static_cast<uint32_t>(g.tiles) * static_cast<uint32_t>(g.chunks);
    image = blockIdx.x / per_image;
    const int rest = static_cast<int>(blockIdx.x % per_image);
    chunk = rest / g.tiles;
    step = g.rows();
    channel = (rest % g.tiles * g.lanes + t % g.lanes) * kV;
    begin = chunk * g.chunk + t / g.lanes;
    end = g.pixels < (chunk + 1) * g.chunk ? g.pixels : (chunk + 1) * g.chunk;
    busy = channel < g.channels && t / g.lanes < step;
  }
  /// Offset of its channels in a pixel.
  __device__ int64_t at(const ChannelGrid& g, int64_t pixel) const {
    return (image * g.pixels + pixel) * g.channels + channel;
  }
};

/// kV neighbouring elements, in what they are computed in.
template <int kV, class T>
__device__ inline void load_wide(const T* from, Wide<T> (&x)[kV]) {
  if constexpr (kV == 1) {
    x[0] = static_cast<Wide<T>>(*from);
  } else {
    const Pack<T> pack = load_pack(from);
#pragma unroll
    for (int v = 0; v < kV; ++v) x[v] = static_cast<Wide<T>>(pack.at[v]);
  }
}
template <int kV, class T>
__device__ inline void store_narrow(T* to, const Wide<T> (&x)[kV]) {
  if constexpr (kV == 1) {
    *to = static_cast<T>(x[0]);
  } else {
    Pack<T> pack;
#pragma unroll
    for (int v = 0; v < kV; ++v) pack.at[v] = static_cast<T>(x[v]);
    store_pack(to, pack);
  }
}

/// add(pixel, sums) adds a pixel's terms of this thread's channels. All threads must call it.
template <int kN, int kV, class A, class F>
__device__ inline void channel_sums(const ChannelGrid& g, const ChannelShare<kV>& mine, A* part,
                                    F&& add) {
  SHARED(A, board, [kN * kV * kChannelThreads]);
  A sums[kN][kV] = {};
  if (mine.busy)
#pragma unroll 2
    for (int64_t p = mine.begin; p < mine.end; p += mine.step) add(p, sums);
  const int t = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int n = 0; n < kN; ++n)
#pragma unroll
    for (int v = 0; v < kV; ++v) board[(n * kV + v) * kChannelThreads + t] = sums[n][v];
  __syncthreads();
  const int first = mine.channel - t % g.lanes * kV;  // of the block
#pragma unroll 1
  for (int i = t; i < g.lanes * kN * kV; i += kChannelThreads) {
    const int lane = i % g.lanes, row = i / g.lanes, n = row / kV;
    const int channel = first + lane * kV + row % kV;
    if (channel >= g.channels) continue;
    A total = 0;
#pragma unroll 1
    for (int r = 0; r < mine.step; ++r) total += board[row * kChannelThreads + r * g.lanes + lane];
    part[((mine.image * g.chunks + mine.chunk) * kN + n) * g.channels + channel] = total;
  }
}

}  // namespace brume::cuda
