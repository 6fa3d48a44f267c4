#include <brume/diffusion/multi_diffusion/patching.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

Tensor index_tensor(const std::vector<int64_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

// input [B, C, H, W], index [P * h * w] -> [P * B, C, h, w]
Tensor gather_patches(const Tensor& input, const Tensor& index, Size2D patch) {
  const int64_t B = input.size(0), C = input.size(1), pixels = patch[0] * patch[1];
  const Tensor flat = reshape(input, {B, C, input.size(2) * input.size(3)});
  const Tensor picked = index_select(flat, 2, transfer(index, input.device()));
  const int64_t P = index.numel() / pixels;
  const Tensor patches = permute(reshape(picked, {B, C, P, pixels}), {2, 0, 1, 3});
  return reshape(patches, {P * B, C, patch[0], patch[1]});
}

// The reverse: sums at the index, times `share`. Index H * W is dropped.
Tensor fuse_patches(const Tensor& patches, int64_t B, const Tensor& index, const Tensor& share,
                    Size2D image) {
  const int64_t pixels = patches.size(2) * patches.size(3), C = patches.size(1);
  const int64_t P = index.numel() / pixels, size = image[0] * image[1];
  const Tensor rows = permute(reshape(patches, {P, B, C, pixels}), {1, 2, 0, 3});
  const TensorOptions options{.dtype = patches.dtype(), .device = patches.device()};
  const Tensor sums = index_add(zeros({B, C, size + 1}, options), 2,
                                transfer(index, patches.device()), reshape(rows, {B, C, -1}));
  const Tensor mean =
      slice(sums, 2, 0, size) * transfer(convert(share, options.dtype), options.device);
  return reshape(mean, {B, C, image[0], image[1]});
}

void check_image(const char* who, const Tensor& input, Size2D image) {
  check(input.rank() == 4 && input.size(2) == image[0] && input.size(3) == image[1], who,
        ": wants images of ", image[0], "x", image[1], ", got ", input.shape());
}

// One axis of a grid of patches.
struct GridAxis {
  GridAxis(const char* who, int64_t image_size, int64_t patch_size, int64_t overlap,
           int64_t boundary_pix)
      : image(image_size), patch(patch_size), boundary(boundary_pix) {
    check(overlap >= 0 && boundary >= 0, who, ": overlap and boundary must not be negative, got ",
          overlap, " and ", boundary);
    stride = patch - overlap - boundary;
    check(stride >= 1, who, ": a patch of ", patch, " pixels with overlap ", overlap,
          " and boundary ", boundary, " does not advance");
    count = (image + stride - 1) / stride;
    padded = stride * (count - 1) + patch + boundary;
    check(std::max(boundary, padded - image - boundary) < image, who, ": an image of ", image,
          " pixels is too small to be reflected into ", padded);
  }
  int64_t place(int64_t at) const { return at - boundary; }  // in the image, from the padded one
  int64_t reflected(int64_t at) const {
    const int64_t i = place(at);
    return i < 0 ? -i : i >= image ? 2 * (image - 1) - i : i;
  }
  int64_t image, patch, boundary, stride = 1, count = 1, padded = 1;
};

struct Grid {
  Grid(const char* who, Size2D image, Size2D patch, int64_t overlap, int64_t boundary)
      : y(who, image[0], patch[0], overlap, boundary),
        x(who, image[1], patch[1], overlap, boundary) {}

  /// f(row, column) of the padded image for every pixel of every patch, in order.
  template <class F>
  std::vector<int64_t> each(F&& f) const {
    std::vector<int64_t> out;
    out.reserve(static_cast<size_t>(y.count * x.count * y.patch * x.patch));
    for (int64_t column = 0; column < x.count; ++column)
      for (int64_t row = 0; row < y.count; ++row)
        for (int64_t i = 0; i < y.patch; ++i)
          for (int64_t j = 0; j < x.patch; ++j)
            out.push_back(f(row * y.stride + i, column * x.stride + j));
    return out;
  }
  std::vector<int64_t> sources() const {
    return each([&](int64_t i, int64_t j) { return y.reflected(i) * x.image + x.reflected(j); });
  }
  std::vector<int64_t> targets() const {
    return each([&](int64_t at_y, int64_t at_x) {
      const int64_t i = y.place(at_y), j = x.place(at_x);
      const bool inside = i >= 0 && i < y.image && j >= 0 && j < x.image;
      return inside ? i * x.image + j : y.image * x.image;
    });
  }
  /// 1 / patches over each pixel of the image.
  static Tensor shares(const std::vector<int64_t>& targets, int64_t size) {
    std::vector<float> counts(static_cast<size_t>(size) + 1);
    for (int64_t target : targets) counts[static_cast<size_t>(target)] += 1;
    counts.pop_back();
    for (float& count : counts) count = 1 / count;
    return from_vector(counts, {size});
  }
  GridAxis y, x;
};

}  // namespace

BasePatching2D::BasePatching2D(const char* who, Size2D img_shape, Size2D patch_shape)
    : who_(who), img_shape_(img_shape) {
  for (int axis = 0; axis < 2; ++axis) {
    check(img_shape[axis] >= 1 && patch_shape[axis] >= 1, who,
          ": sizes must be positive, got an image of ", img_shape[0], "x", img_shape[1],
          " and patches of ", patch_shape[0], "x", patch_shape[1]);
    patch_shape_[axis] = std::min(patch_shape[axis], img_shape[axis]);
  }
}

void BasePatching2D::set_pixels(std::vector<int64_t> pixels) {
  pixels_ = std::move(pixels);
  index_ = index_tensor(pixels_);
}

int64_t BasePatching2D::patch_num() const {
  return static_cast<int64_t>(pixels_.size()) / (patch_shape_[0] * patch_shape_[1]);
}

Tensor BasePatching2D::apply(const Tensor& input, const Tensor& additional_input) const {
  check_image(who_, input, img_shape_);
  const Tensor patches = gather_patches(input, index_, patch_shape_);
  if (!additional_input.defined()) return patches;
  check(additional_input.rank() == 4 && additional_input.size(0) == input.size(0), who_,
        ": additional_input is ", additional_input.shape(), ", but the batch size is ",
        input.size(0));
  return cat({patches, repeat(resize_bilinear(additional_input, patch_shape_))}, 1);
}

Tensor BasePatching2D::repeat(const Tensor& x) const {
  Shape shape = x.shape();
  shape.insert(0, patch_num());
  Shape flat = x.shape();
  flat[0] *= patch_num();
  return reshape(expand(unsqueeze(x, 0), shape), flat);
}

Tensor BasePatching2D::global_index() const {
  const int64_t area = patch_shape_[0] * patch_shape_[1], width = img_shape_[1];
  std::vector<int64_t> out;
  for (int64_t p = 0; p < patch_num(); ++p)
    for (bool column : {false, true})
      for (int64_t k = p * area; k < (p + 1) * area; ++k) {
        const int64_t pixel = pixels_[static_cast<size_t>(k)];
        out.push_back(column ? pixel % width : pixel / width);
      }
  return from_vector(out, {patch_num(), 2, patch_shape_[0], patch_shape_[1]});
}

Tensor BasePatching2D::global_index_of_rows(int64_t batch) const {
  const Tensor one = global_index();
  const int64_t P = one.size(0), h = one.size(2), w = one.size(3);
  return reshape(expand(unsqueeze(one, 1), {P, batch, 2, h, w}), {P * batch, 2, h, w});
}

RandomPatching2D::RandomPatching2D(Size2D img_shape, Size2D patch_shape, int64_t patch_num,
                                   Generator& rng)
    : BasePatching2D("RandomPatching2D", img_shape, patch_shape) {
  set_patch_num(patch_num, rng);
}

void RandomPatching2D::set_patch_num(int64_t patch_num, Generator& rng) {
  check(patch_num >= 1, "RandomPatching2D: patch_num must be positive, got ", patch_num);
  count_ = patch_num;
  reset_patch_indices(rng);
}

void RandomPatching2D::reset_patch_indices(Generator& rng) {
  const auto corners = [&](int axis) {
    return random_integers({count_}, 0, img_shape()[axis] - patch_shape()[axis] + 1, rng)
        .to_vector<int64_t>();
  };
  const std::vector<int64_t> rows = corners(0), columns = corners(1);
  std::vector<int64_t> pixels;
  for (size_t p = 0; p < rows.size(); ++p)
    for (int64_t i = 0; i < patch_shape()[0]; ++i)
      for (int64_t j = 0; j < patch_shape()[1]; ++j)
        pixels.push_back((rows[p] + i) * img_shape()[1] + columns[p] + j);
  set_pixels(std::move(pixels));
}

GridPatching2D::GridPatching2D(Size2D img_shape, Size2D patch_shape, int64_t overlap_pix,
                               int64_t boundary_pix)
    : BasePatching2D("GridPatching2D", img_shape, patch_shape) {
  const Grid grid("GridPatching2D", img_shape, this->patch_shape(), overlap_pix, boundary_pix);
  set_pixels(grid.sources());
  const std::vector<int64_t> targets = grid.targets();
  fuse_index_ = index_tensor(targets);
  share_ = Grid::shares(targets, img_shape[0] * img_shape[1]);
}

Tensor GridPatching2D::fuse(const Tensor& patches, int64_t batch_size) const {
  check(batch_size >= 1 && patches.rank() == 4 && patches.size(0) == patch_num() * batch_size &&
            patches.size(2) == patch_shape()[0] && patches.size(3) == patch_shape()[1],
        "GridPatching2D: fuse wants ", patch_num(), " patches of ", patch_shape()[0], "x",
        patch_shape()[1], " for each of ", batch_size, " images, got ", patches.shape());
  return fuse_patches(patches, batch_size, fuse_index_, share_, img_shape());
}

Tensor image_batching(const Tensor& input, int64_t patch_shape_y, int64_t patch_shape_x,
                      int64_t overlap_pix, int64_t boundary_pix, const Tensor& input_interp) {
  check(input.rank() == 4, "image_batching: wants images [B, C, H, W], got ", input.shape());
  const Size2D patch{patch_shape_y, patch_shape_x};
  const Grid grid("image_batching", {input.size(2), input.size(3)}, patch, overlap_pix,
                  boundary_pix);
  for (int64_t size : patch)
    check(size > overlap_pix + 2 * boundary_pix, "image_batching: a patch of ", size,
          " pixels must be larger than overlap ", overlap_pix, " and twice the boundary ",
          boundary_pix);
  const Tensor patches = gather_patches(input, index_tensor(grid.sources()), patch);
  if (!input_interp.defined()) return patches;
  const int64_t B = input.size(0), C = input_interp.size(1), P = grid.y.count * grid.x.count;
  check(input_interp.shape() == Shape{B, C, patch[0], patch[1]},
        "image_batching: input_interp must have the batch of the images and the size of a patch, "
        "but is ",
        input_interp.shape());
  const Tensor all = expand(unsqueeze(input_interp, 0), {P, B, C, patch[0], patch[1]});
  return cat({patches, reshape(all, {P * B, C, patch[0], patch[1]})}, 1);
}

Tensor image_fuse(const Tensor& input, int64_t img_shape_y, int64_t img_shape_x, int64_t batch_size,
                  int64_t overlap_pix, int64_t boundary_pix) {
  check(input.rank() == 4, "image_fuse: wants patches [P * B, C, h, w], got ", input.shape());
  const Size2D image{img_shape_y, img_shape_x};
  const Grid grid("image_fuse", image, {input.size(2), input.size(3)}, overlap_pix, boundary_pix);
  check(input.size(0) == grid.y.count * grid.x.count * batch_size, "image_fuse: wants ",
        grid.y.count * grid.x.count, " patches for each of ", batch_size, " images, got ",
        input.shape());
  const std::vector<int64_t> targets = grid.targets();
  return fuse_patches(input, batch_size, index_tensor(targets),
                      Grid::shares(targets, image[0] * image[1]), image);
}

Tensor get_overlap_count(Size2D patch_shape, Size2D img_shape, int64_t overlap_pix,
                         int64_t boundary_pix) {
  const Grid grid("get_overlap_count", img_shape, patch_shape, overlap_pix, boundary_pix);
  std::vector<float> counts(static_cast<size_t>(grid.y.padded * grid.x.padded));
  for (int64_t pixel : grid.each([&](int64_t i, int64_t j) { return i * grid.x.padded + j; }))
    counts[static_cast<size_t>(pixel)] += 1;
  return from_vector(counts, {1, 1, grid.y.padded, grid.x.padded});
}

Tensor resize_bilinear(const Tensor& x, Size2D size) {
  check(x.rank() == 4, "resize_bilinear: wants images [B, C, H, W], got ", x.shape());
  Tensor y = x;
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t in = x.size(axis + 2), out = size[axis];
    std::vector<int64_t> lower, upper;
    std::vector<float> weight;
    const double ratio = static_cast<double>(in) / static_cast<double>(out);
    for (int64_t i = 0; i < out; ++i) {
      const double at = std::max((static_cast<double>(i) + 0.5) * ratio - 0.5, 0.0);
      lower.push_back(static_cast<int64_t>(at));
      upper.push_back(std::min(lower.back() + 1, in - 1));
      weight.push_back(static_cast<float>(at - std::floor(at)));
    }
    const auto rows = [&](const std::vector<int64_t>& index) {
      return index_select(y, axis + 2, transfer(index_tensor(index), x.device()));
    };
    const Tensor w =
        reshape(from_vector(weight, {out}), axis == 0 ? Shape{1, 1, out, 1} : Shape{1, 1, 1, out});
    y = lerp(rows(lower), rows(upper), transfer(convert(w, x.dtype()), x.device()));
  }
  return y;
}

}  // namespace brume::diffusion
