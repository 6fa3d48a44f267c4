#pragma once
// Winograd's convolutions F(2x2, 3x3) and F(4x4, 3x3) in f32: 2.25 and 4 times fewer products than
// the direct kernels. A tile's bits depend on its own pixels alone.

#include <algorithm>

#include <brume/core/cpu/conv_driver.h>
#include <brume/core/cpu/isa/winograd.h>
#include <brume/core/kernels/conv.h>

namespace brume::cpu {

/// The transforms that `wanted` means for this convolution; null: it is computed directly.
const WinogradLoops* winograd_loops(const ConvShape& s, ConvAlgorithm wanted);

/// As direct_forward() and the others.
void winograd_forward(const WinogradLoops& loops, const ConvShape& s, const Image<const float>& x,
                      const Filter<float>& w, const ConvTerms<float>& terms, const Image<float>& y);
void winograd_input_gradient(const WinogradLoops& loops, const ConvShape& s,
                             const Image<const float>& gy, const Filter<float>& w,
                             const ConvTerms<float>& terms, const Image<float>& gx);
void winograd_weight_gradient(const WinogradLoops& loops, const ConvShape& s,
                              const Image<const float>& x, const Image<const float>& gy, float* gw);

constexpr int64_t kMostWinogradPoints = 36;
/// Numbers between the planes of a transformed operand beyond its own: keeps the planes from
/// falling into the same cache sets.
constexpr int64_t kGap = 16;

/// The tiles that cover the result planes of all samples.
struct WinogradTiles {
  int64_t edge, rows, columns, count;

  WinogradTiles(int64_t tile, int64_t batch, int64_t height, int64_t width)
      : edge(tile),
        rows((height + tile - 1) / tile),
        columns((width + tile - 1) / tile),
        count(batch * rows * columns) {}

  struct Place {
    int64_t sample, h, w;  // of the first result
  };
  Place at(int64_t index) const {
    return {index / (rows * columns), index / columns % rows * edge, index % columns * edge};
  }
  /// To the next tile, without at()'s divisions.
  void advance(Place& place) const {
    if ((place.w += edge) < columns * edge) return;
    place.w = 0;
    if ((place.h += edge) < rows * edge) return;
    place.h = 0;
    ++place.sample;
  }
};

/// Addresses of the edge x edge pixels from (h, w) on; `outside` stands for those that the plane
/// lacks.
template <class T>
void square_of(const Image<T>& image, const int64_t* size, int64_t sample, int64_t h, int64_t w,
               int64_t edge, T* outside, T** pixels) {
  if (h >= 0 && w >= 0 && h + edge <= size[0] && w + edge <= size[1]) {
    T* row = image.at(sample, 0, h, w);
    for (int64_t i = 0; i < edge; ++i, row += image.space[1])
      for (int64_t j = 0; j < edge; ++j) *pixels++ = row + j * image.space[2];
    return;
  }
  for (int64_t i = 0; i < edge; ++i, pixels += edge) {
    const bool row = h + i >= 0 && h + i < size[0];
    const int64_t begin = row ? std::clamp<int64_t>(-w, 0, edge) : edge;
    const int64_t end = std::clamp<int64_t>(size[1] - w, begin, edge);
    std::fill_n(pixels, begin, outside);
    T* pixel = begin < end ? image.at(sample, 0, h + i, w + begin) : nullptr;
    for (int64_t j = begin; j < end; ++j, pixel += image.space[2]) pixels[j] = pixel;
    std::fill(pixels + end, pixels + edge, outside);
  }
}

}  // namespace brume::cpu
