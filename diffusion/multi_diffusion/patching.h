#pragma once
// Images cut into patches, and patches put together again. Row p * B + b of the patches is patch p
// of image b.

#include <array>
#include <utility>
#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::diffusion {

/// Height and width.
using Size2D = std::array<int64_t, 2>;

/// Some of the patches of `batch` images: `count` rows from number `start` on.
struct PatchRows {
  int64_t start = 0, count = 0, batch = 1;
};

/// Where the pixels of patches stand: patch p covers the image's rows[p * h], rows[p * h + 1], ...
/// and columns[p * w], ....
struct PatchPlaces {
  Size2D patch{};
  std::vector<int64_t> rows{}, columns{};
  int64_t count() const { return static_cast<int64_t>(rows.size()) / patch[0]; }
};

/// Base class: a subclass says which pixels of the image its patches cover.
class BasePatching2D {
 public:
  virtual ~BasePatching2D() = default;
  Size2D img_shape() const { return img_shape_; }
  Size2D patch_shape() const { return places_.patch; }
  int64_t patch_num() const { return places_.count(); }

  /// Differentiable. `additional_input`, resized to a patch (bilinear), comes behind the channels
  /// of every patch of its image.
  /// @shape  input [B, C, H, W], additional_input [B, C', any, any] -> [P * B, C + C', h, w]
  /// @throws ShapeError if the input has another size than the image, or batches differ
  Tensor apply(const Tensor& input, const Tensor& additional_input = {}) const;
  /// Some of the rows that apply returns. One image serves a batch.
  /// @shape  input [rows.batch or 1, C, H, W] -> [rows.count, C, h, w]
  Tensor apply_rows(const Tensor& input, const PatchRows& rows) const;
  /// Rows and columns of the patches' pixels. @shape result i64 [P, 2, h, w]
  Tensor global_index() const;
  /// The same for every row that apply returns. @shape result i64 [P * batch, 2, h, w]
  Tensor global_index_of_rows(int64_t batch) const;
  /// A tensor for each patch of its image: row p * B + b is row b of x.
  Tensor repeat(const Tensor& x) const;
  /// Some of the rows that repeat returns. @shape x [rows.batch, ...] -> [rows.count, ...]
  static Tensor repeat_rows(const Tensor& x, const PatchRows& rows);

 protected:
  /// @throws ShapeError unless all sizes are positive
  BasePatching2D(const char* who, Size2D img_shape, Size2D patch_shape);
  void set_places(std::vector<int64_t> rows, std::vector<int64_t> columns);
  const char* who() const { return who_; }

 private:
  const char* who_;
  Size2D img_shape_;
  PatchPlaces places_;
};

/// Patches at random places, for training; at most as large as the image.
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
/// its pixels are reflected. Patches are at most as large as the image, and ordered down the
/// columns of the grid.
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
  friend class PatchFusion;
  friend Tensor image_batching(const Tensor&, int64_t, int64_t, int64_t, int64_t, const Tensor&);
  friend Tensor image_fuse(const Tensor&, int64_t, int64_t, int64_t, int64_t, int64_t);
  GridPatching2D(const char* who, Size2D img_shape, Size2D patch_shape, int64_t overlap_pix,
                 int64_t boundary_pix);

  PatchPlaces targets_;       // where fuse puts what it gets; row H, column W: nowhere
  Tensor cover_y_, cover_x_;  // [H, 1], [W]: how many rows, columns of the grid are over each
};

/// GridPatching2D::fuse of patches that come some rows at a time. Keeps the images alone, unless
/// gradients are recorded; the result has the same bits however the rows come.
class PatchFusion {
 public:
  /// The patching must outlive the fusion.
  PatchFusion(const GridPatching2D& patching, int64_t batch_size);
  PatchFusion(const GridPatching2D&& gone, int64_t batch_size) = delete;
  /// The next rows. @shape [any, C, h, w] @throws ShapeError if they are of another size
  void add(const Tensor& patches);
  /// @shape [batch_size, C, H, W] @throws ShapeError if rows are missing
  Tensor images() const;

 private:
  const GridPatching2D* patching_;
  PatchRows next_;
  DType dtype_ = DType::f32;
  Tensor sums_;
  std::vector<std::pair<PatchRows, Tensor>> recorded_;
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
