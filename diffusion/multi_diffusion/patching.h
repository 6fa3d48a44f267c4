#pragma once
// Images cut into patches, and patches put together again. Row p * B + b of the patches is patch p
// of image b.

#include <array>
#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::diffusion {

/// Height and width.
using Size2D = std::array<int64_t, 2>;

/// Base class: a subclass says which pixel stands at which place of which patch.
class BasePatching2D {
 public:
  virtual ~BasePatching2D() = default;
  Size2D img_shape() const { return img_shape_; }
  /// At most the image's.
  Size2D patch_shape() const { return patch_shape_; }
  int64_t patch_num() const;

  /// Differentiable. `additional_input`, resized to a patch (bilinear), comes behind the channels
  /// of every patch of its image.
  /// @shape  input [B, C, H, W], additional_input [B, C', any, any] -> [P * B, C + C', h, w]
  /// @throws ShapeError if the input has another size than the image, or batches differ
  Tensor apply(const Tensor& input, const Tensor& additional_input = {}) const;
  /// Rows and columns of the patches' pixels. @shape result i64 [P, 2, h, w]
  Tensor global_index() const;
  /// The same for every row that apply returns. @shape result i64 [P * batch, 2, h, w]
  Tensor global_index_of_rows(int64_t batch) const;
  /// A tensor for each patch of its image: row p * B + b is row b of x.
  Tensor repeat(const Tensor& x) const;

 protected:
  /// @throws ShapeError unless all sizes are positive
  BasePatching2D(const char* who, Size2D img_shape, Size2D patch_shape);
  /// Pixels y * W + x of all patches, in order.
  void set_pixels(std::vector<int64_t> pixels);
  const std::vector<int64_t>& pixels() const { return pixels_; }
  const char* who() const { return who_; }

 private:
  const char* who_;
  Size2D img_shape_, patch_shape_;
  std::vector<int64_t> pixels_;
  Tensor index_;  // the same, i64
};

/// Patches at random places, for training.
class RandomPatching2D : public BasePatching2D {
 public:
  RandomPatching2D(Size2D img_shape, Size2D patch_shape, int64_t patch_num, Generator& rng);
  /// Draws new places: all rows, then all columns.
  void reset_patch_indices(Generator& rng);
  void set_patch_num(int64_t patch_num, Generator& rng);

 private:
  int64_t count_;
};

/// Patches on a regular grid that covers the image, neighbours overlapping by `overlap_pix`, with
/// `boundary_pix` pixels at each patch's border that its neighbours cover too. Outside the image
/// its pixels are reflected. Patches are ordered down the columns of the grid.
class GridPatching2D : public BasePatching2D {
 public:
  /// @throws ShapeError unless patches advance by at least one pixel and the image is larger than
  ///         what is reflected
  GridPatching2D(Size2D img_shape, Size2D patch_shape, int64_t overlap_pix = 0,
                 int64_t boundary_pix = 0);
  /// Images again: where patches overlap, their mean. Undoes apply. Differentiable.
  /// @shape  patches [P * batch_size, C, h, w] -> [batch_size, C, H, W]
  Tensor fuse(const Tensor& patches, int64_t batch_size) const;

 private:
  Tensor fuse_index_, share_;  // where pixels go, and 1 / patches over each
};

/// GridPatching2D::apply and fuse as functions; a patch may be larger than the image, which is then
/// reflected around it.
Tensor image_batching(const Tensor& input, int64_t patch_shape_y, int64_t patch_shape_x,
                      int64_t overlap_pix, int64_t boundary_pix, const Tensor& input_interp = {});
Tensor image_fuse(const Tensor& input, int64_t img_shape_y, int64_t img_shape_x, int64_t batch_size,
                  int64_t overlap_pix, int64_t boundary_pix);

/// How many patches cover each pixel of the padded image. @shape result [1, 1, Hp, Wp]
Tensor get_overlap_count(Size2D patch_shape, Size2D img_shape, int64_t overlap_pix,
                         int64_t boundary_pix);

/// Bilinear, pixel centres at halves, edges repeated. @shape x [B, C, H, W] -> [B, C, h, w]
Tensor resize_bilinear(const Tensor& x, Size2D size);

}  // namespace brume::diffusion
