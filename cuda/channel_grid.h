#pragma once
// The launch of kernels over [image][pixel][channel].

#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/channel_sums.cuh>

namespace brume::cuda {

/// 32 pixels a thread: enough to be worth its start, few enough to fill the GPU with one image.
inline ChannelGrid channel_grid(int64_t images, int64_t pixels, int64_t channels, int width) {
  constexpr int64_t kPixels = 32, kMostLanes = 32;
  ChannelGrid g{.images = images, .pixels = pixels, .channels = static_cast<int>(channels)};
  const int64_t packs = ceil_div(channels, width);
  g.lanes = static_cast<int>(packs < kMostLanes ? packs : kMostLanes);
  g.tiles = static_cast<int>(ceil_div(packs, g.lanes));
  g.chunk = g.rows() * kPixels;
  g.chunks = static_cast<int>(ceil_div(pixels, g.chunk));
  return g;
}

template <class... P, class... A>
void launch_channels(void (*kernel)(ChannelGrid, P...), const char* op, const ChannelGrid& g,
                     A&&... args) {
  const int64_t blocks = g.images * g.chunks * g.tiles;
  launch(kernel, count32(op, blocks), kChannelThreads, 0, stream(op), g, std::forward<A>(args)...);
}

/// Whether channels can be taken `width` at a time: [image][pixel][channel] arrays, null allowed.
template <class... Arrays>
bool fits_channel_packs(int64_t channels, int width, const Arrays*... arrays) {
  return channels % width == 0 && ((reinterpret_cast<uintptr_t>(arrays) % 16 == 0) && ...);
}

}  // namespace brume::cuda
