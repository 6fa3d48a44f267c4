#pragma once
// The transforms of Winograd's convolution F(m x m, 3 x 3), one table per instruction set: an m x m
// tile of results y from (m + 2)^2 pixels d and nine weights g,
//   y = A^T [(G g G^T) . (B^T d B)] A,
// the products . summed over channels. Its gradients are the transposes of the same matrices.
// @source Lavin, Gray: Fast Algorithms for Convolutional Neural Networks (2016)

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// What is done to a finished tile: (y + shift + residual) * scale; null = absent.
struct WinogradTerms {
  const float* shift;            // one number per channel
  const float* const* residual;  // m^2 pixels, or null
  float scale;
};

/// Pixels and points are row-major over their square; `channels` numbers stand side by side in
/// each. A point's numbers stand `step` behind those of the point before. At points, fewer channels
/// than a vector holds are read and written as a whole vector.
struct WinogradLoops {
  int64_t tile;    // m
  int64_t points;  // (m + 2)^2

  // points = B^T d B
  void (*input)(int64_t channels, const float* const* pixels, float* points, int64_t step);
  // y = A^T points A, and the terms
  void (*output)(int64_t channels, const float* points, int64_t step, const WinogradTerms& terms,
                 float* const* pixels);
  // points = A gy A^T
  void (*output_gradient)(int64_t channels, const float* const* pixels, float* points,
                          int64_t step);
  // points = G g G^T of `rows` filters side by side: g [rows][3][3][channels], points
  // [rows][channels]. `flipped`: of the filter turned by 180 degrees.
  void (*filter)(int64_t rows, int64_t channels, const float* g, bool flipped, float* points,
                 int64_t step);
  // g = G^T points G: points [channels], g [3][3][channels]. The points are the sums, in order, of
  // `parts` that stand `part` numbers apart.
  void (*filter_gradient)(int64_t channels, const float* points, int64_t step, int64_t parts,
                          int64_t part, float* g);
};

BRUME_ISA_TABLE(WinogradLoops, winograd_f2)
BRUME_ISA_TABLE(WinogradLoops, winograd_f4)

}  // namespace brume::cpu
