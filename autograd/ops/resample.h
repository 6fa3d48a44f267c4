#pragma once
// Pooling, interpolation, padding by mirror images, and blocks of pixels as channels. All are
// compositions, so that every derivative exists. Images are [B, C, ...] with 1 to 3 axes behind.

#include <optional>
#include <vector>

#include <brume/autograd/node.h>

namespace brume {

enum class PadMode { constant, reflect, replicate, circular };
/// Like pad(x, amounts), but outside stands the mirror image, the border's value, or the other end.
/// @throws ShapeError if an axis is too short for that
Tensor pad_with(const Tensor& x, const std::vector<int64_t>& amounts, PadMode mode,
                double value = 0);

struct PoolOptions {
  std::vector<int64_t> kernel, stride = {}, padding = {};  // per axis; stride: as kernel
  bool ceil_mode = false;  // a last window may begin inside and end outside
};
/// Means of windows; zeros of the padding count, what lies behind them does not.
Tensor avg_pool(const Tensor& x, const PoolOptions& options);
Tensor max_pool(const Tensor& x, const PoolOptions& options);
/// Means of `size` windows per axis that cover it.
Tensor adaptive_avg_pool(const Tensor& x, const std::vector<int64_t>& size);

enum class InterpolateMode { nearest, nearest_exact, linear, cubic, area };
struct InterpolateOptions {
  InterpolateMode mode = InterpolateMode::nearest;
  bool align_corners = false;      // linear, cubic: the outermost pixels' centres agree
  std::vector<double> scale = {};  // out / in of each axis, if not the ratio of the sizes; > 0
};
Tensor interpolate(const Tensor& x, const std::vector<int64_t>& size,
                   const InterpolateOptions& options = {});

/// All windows of an image as columns, and their sum back in place.
/// @shape  x [B, C, H, W] -> [B, C * k0 * k1, windows]
Tensor unfold(const Tensor& x, const std::vector<int64_t>& kernel,
              const std::vector<int64_t>& stride = {1, 1});
Tensor fold(const Tensor& columns, const std::vector<int64_t>& size,
            const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride = {1, 1});

/// @shape  [B, C r^d, ...] -> [B, C, r ..., r ...] for d axes, and back
Tensor pixel_shuffle(const Tensor& x, int64_t r);
Tensor pixel_unshuffle(const Tensor& x, int64_t r);

/// x at places between its pixels, bilinear, in f32 or wider; zero outside and at NaN. -1 and 1 are
/// the image's edges. @shape x [B, C, H, W], grid [B, h, w, 2] (x, y) -> [B, C, h, w]
Tensor grid_sample(const Tensor& x, const Tensor& grid);

}  // namespace brume
