#include <brume/diffusion/multi_diffusion/patching.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/mode.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

Tensor index_tensor(const std::vector<int64_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

// The numbers of the rows' pixels in images [images, planes, H, W] that lie one behind the other.
Tensor pixel_index(const PatchPlaces& at, const Shape& images, const PatchRows& rows) {
  const auto [h, w] = at.patch;
  const int64_t planes = images[1], H = images[2], W = images[3];
  std::vector<int64_t> out;
  out.reserve(static_cast<size_t>(rows.count * planes * h * w));
  for (int64_t row = rows.start; row < rows.start + rows.count; ++row) {
    const int64_t patch = row / rows.batch, image = images[0] == 1 ? 0 : row % rows.batch;
    const int64_t* ys = at.rows.data() + patch * h;
    const int64_t* xs = at.columns.data() + patch * w;
    for (int64_t plane = image * planes; plane < (image + 1) * planes; ++plane)
      for (int64_t i = 0; i < h; ++i)
        for (int64_t j = 0; j < w; ++j) out.push_back((plane * H + ys[i]) * W + xs[j]);
  }
  return index_tensor(out);
}

// input [B or 1, C, H, W] -> [rows.count, C, h, w] of the same layout: no copy of the images.
Tensor gather_patches(const PatchPlaces& at, const Tensor& input, const PatchRows& rows) {
  const int64_t B = input.size(0), C = input.size(1), H = input.size(2), W = input.size(3);
  const auto [h, w] = at.patch;
  const bool by_pixel = input.is_channels_last();
  const Tensor index = transfer(pixel_index(at, {B, by_pixel ? 1 : C, H, W}, rows), input.device());
  if (!by_pixel)
    return reshape(index_select(reshape(input, {B * C * H * W}), 0, index), {rows.count, C, h, w});
  const Tensor pixels = reshape(permute(input, {0, 2, 3, 1}), {B * H * W, C});
  return permute(reshape(index_select(pixels, 0, index), {rows.count, h, w, C}), {0, 3, 1, 2});
}

Size2D at_most(Size2D image, Size2D patch) {
  return {std::min(image[0], patch[0]), std::min(image[1], patch[1])};
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
  /// How many patches are over each pixel of the padded image.
  Tensor padded_cover() const {
    std::vector<float> out(static_cast<size_t>(padded));
    for (int64_t p = 0; p < count; ++p)
      for (int64_t i = 0; i < patch; ++i) out[static_cast<size_t>(p * stride + i)] += 1;
    return from_vector(out, {padded});
  }
  Tensor cover() const { return slice(padded_cover(), 0, boundary, boundary + image); }
  /// `image` for what lies outside.
  int64_t inside(int64_t at) const {
    return place(at) >= 0 && place(at) < image ? place(at) : image;
  }
  int64_t image, patch, boundary, stride = 1, count = 1, padded = 1;
};

struct Grid {
  Grid(const char* who, Size2D image, Size2D patch, int64_t overlap, int64_t boundary)
      : y(who, image[0], patch[0], overlap, boundary),
        x(who, image[1], patch[1], overlap, boundary) {}

  /// f(axis, position in the padded image) for every row and column of every patch.
  template <class F>
  PatchPlaces each(F&& f) const {
    PatchPlaces out{.patch = {y.patch, x.patch}};
    for (int64_t column = 0; column < x.count; ++column)
      for (int64_t row = 0; row < y.count; ++row) {
        for (int64_t i = 0; i < y.patch; ++i) out.rows.push_back(f(y, row * y.stride + i));
        for (int64_t j = 0; j < x.patch; ++j) out.columns.push_back(f(x, column * x.stride + j));
      }
    return out;
  }
  PatchPlaces sources() const {
    return each([](const GridAxis& axis, int64_t at) { return axis.reflected(at); });
  }
  PatchPlaces targets() const {
    return each([](const GridAxis& axis, int64_t at) { return axis.inside(at); });
  }
  GridAxis y, x;
};

// The part of a patch's rows (or columns) that lies in the image, and where.
struct Stretch {
  Stretch(const int64_t* places, int64_t patch, int64_t image) {
    while (begin < patch && places[begin] == image) ++begin;
    end = begin;
    while (end < patch && places[end] < image) ++end;
    to = begin < patch ? places[begin] : 0;
  }
  Tensor of_patch(const Tensor& x, int64_t axis) const { return slice(x, axis, begin, end); }
  Tensor of_image(const Tensor& x, int64_t axis) const {
    return slice(x, axis, to, to + end - begin);
  }
  int64_t begin = 0, end = 0, to = 0;
};

// Adds rows of patches to images [batch, C, H, W], patch by patch.
void add_patches(const Tensor& sums, const PatchPlaces& at, const Tensor& patches,
                 const PatchRows& rows) {
  const auto [h, w] = at.patch;
  for (int64_t done = 0; done < rows.count;) {
    const int64_t patch = (rows.start + done) / rows.batch;
    const int64_t image = (rows.start + done) % rows.batch;
    const int64_t images = std::min(rows.batch - image, rows.count - done);
    const Stretch y(at.rows.data() + patch * h, h, sums.size(2));
    const Stretch x(at.columns.data() + patch * w, w, sums.size(3));
    const Tensor from = x.of_patch(y.of_patch(slice(patches, 0, done, done + images), 2), 3);
    const Tensor to = x.of_image(y.of_image(slice(sums, 0, image, image + images), 2), 3);
    if (to.numel() > 0) copy_(to, to + from);
    done += images;
  }
}

}  // namespace

BasePatching2D::BasePatching2D(const char* who, Size2D img_shape, Size2D patch_shape)
    : who_(who), img_shape_(img_shape), places_{.patch = patch_shape} {
  for (int axis = 0; axis < 2; ++axis)
    check(img_shape[axis] >= 1 && patch_shape[axis] >= 1, who,
          ": sizes must be positive, got an image of ", img_shape[0], "x", img_shape[1],
          " and patches of ", patch_shape[0], "x", patch_shape[1]);
}

void BasePatching2D::set_places(std::vector<int64_t> rows, std::vector<int64_t> columns) {
  places_.rows = std::move(rows);
  places_.columns = std::move(columns);
}

Tensor BasePatching2D::apply_rows(const Tensor& input, const PatchRows& rows) const {
  check_image(who_, input, img_shape_);
  check(input.size(0) == rows.batch || input.size(0) == 1, who_, ": wants a batch of ", rows.batch,
        ", got ", input.shape());
  return gather_patches(places_, input, rows);
}

Tensor BasePatching2D::apply(const Tensor& input, const Tensor& additional_input) const {
  check_image(who_, input, img_shape_);
  const int64_t B = input.size(0);
  const Tensor patches = gather_patches(places_, input, {0, patch_num() * B, B});
  if (!additional_input.defined()) return patches;
  check(additional_input.rank() == 4 && additional_input.size(0) == B, who_,
        ": additional_input is ", additional_input.shape(), ", but the batch size is ", B);
  return cat({patches, repeat(resize_bilinear(additional_input, patch_shape()))}, 1);
}

Tensor BasePatching2D::repeat(const Tensor& x) const {
  Shape shape = x.shape();
  shape.insert(0, patch_num());
  Shape flat = x.shape();
  flat[0] *= patch_num();
  return reshape(expand(unsqueeze(x, 0), shape), flat);
}

Tensor BasePatching2D::repeat_rows(const Tensor& x, const PatchRows& rows) {
  std::vector<int64_t> index;
  for (int64_t i = 0; i < rows.count; ++i) index.push_back((rows.start + i) % rows.batch);
  return index_select(x, 0, transfer(index_tensor(index), x.device()));
}

Tensor BasePatching2D::global_index() const {
  const auto [h, w] = patch_shape();
  std::vector<int64_t> out;
  for (int64_t p = 0; p < patch_num(); ++p)
    for (bool column : {false, true})
      for (int64_t i = 0; i < h; ++i)
        for (int64_t j = 0; j < w; ++j)
          out.push_back(column ? places_.columns[static_cast<size_t>(p * w + j)]
                               : places_.rows[static_cast<size_t>(p * h + i)]);
  return from_vector(out, {patch_num(), 2, h, w});
}

Tensor BasePatching2D::global_index_of_rows(int64_t batch) const {
  const Tensor one = global_index();
  const int64_t P = one.size(0), h = one.size(2), w = one.size(3);
  return reshape(expand(unsqueeze(one, 1), {P, batch, 2, h, w}), {P * batch, 2, h, w});
}

RandomPatching2D::RandomPatching2D(Size2D img_shape, Size2D patch_shape, int64_t patch_num,
                                   Generator& rng)
    : BasePatching2D("RandomPatching2D", img_shape, at_most(img_shape, patch_shape)) {
  set_patch_num(patch_num, rng);
}

void RandomPatching2D::set_patch_num(int64_t patch_num, Generator& rng) {
  check(patch_num >= 1, "RandomPatching2D: patch_num must be positive, got ", patch_num);
  count_ = patch_num;
  reset_patch_indices(rng);
}

void RandomPatching2D::reset_patch_indices(Generator& rng) {
  const auto places = [&](int axis) {
    const int64_t size = patch_shape()[axis];
    std::vector<int64_t> out;
    for (int64_t corner :
         random_integers({count_}, 0, img_shape()[axis] - size + 1, rng).to_vector<int64_t>())
      for (int64_t i = 0; i < size; ++i) out.push_back(corner + i);
    return out;
  };
  std::vector<int64_t> rows = places(0);
  set_places(std::move(rows), places(1));
}

GridPatching2D::GridPatching2D(Size2D img_shape, Size2D patch_shape, int64_t overlap_pix,
                               int64_t boundary_pix)
    : GridPatching2D("GridPatching2D", img_shape, at_most(img_shape, patch_shape), overlap_pix,
                     boundary_pix) {}

GridPatching2D::GridPatching2D(const char* who, Size2D img_shape, Size2D patch_shape,
                               int64_t overlap_pix, int64_t boundary_pix)
    : BasePatching2D(who, img_shape, patch_shape) {
  const Grid grid(who, img_shape, patch_shape, overlap_pix, boundary_pix);
  PatchPlaces sources = grid.sources();
  set_places(std::move(sources.rows), std::move(sources.columns));
  targets_ = grid.targets();
  cover_y_ = unsqueeze(grid.y.cover(), 1);
  cover_x_ = grid.x.cover();
}

Tensor GridPatching2D::fuse(const Tensor& patches, int64_t batch_size) const {
  PatchFusion fusion(*this, batch_size);
  fusion.add(patches);
  return fusion.images();
}

PatchFusion::PatchFusion(const GridPatching2D& patching, int64_t batch_size)
    : patching_(&patching), next_{.batch = batch_size} {
  check(batch_size >= 1, patching.who(), ": fuse wants a batch of at least 1, got ", batch_size);
}

void PatchFusion::add(const Tensor& patches) {
  const auto [h, w] = patching_->patch_shape();
  next_.count = patches.rank() == 4 ? patches.size(0) : 0;
  check(patches.rank() == 4 && patches.size(2) == h && patches.size(3) == w &&
            next_.start + next_.count <= patching_->patch_num() * next_.batch &&
            (!sums_.defined() || patches.size(1) == sums_.size(1)),
        patching_->who(), ": fuse wants ", patching_->patch_num(), " patches of ", h, "x", w,
        " for each of ", next_.batch, " images, got ", patches.shape(), " behind ", next_.start);
  dtype_ = patches.dtype();
  const DType sum_type = wide_dtype(dtype_);
  if (const auto [H, W] = patching_->img_shape(); !sums_.defined())
    sums_ = zeros({next_.batch, patches.size(1), H, W},
                  {.dtype = sum_type, .device = patches.device()});
  if (needs_grad({patches})) recorded_.emplace_back(next_, patches);
  const NoGrad guard;
  add_patches(sums_, patching_->targets_, contiguous(convert(patches, sum_type)), next_);
  next_.start += next_.count;
}

Tensor PatchFusion::images() const {
  const GridPatching2D& p = *patching_;
  check(sums_.defined() && next_.start == p.patch_num() * next_.batch, p.who(), ": fuse wants ",
        p.patch_num(), " patches for each of ", next_.batch, " images, got ", next_.start);
  const auto like = [](const Tensor& x, const Tensor& y) {
    return transfer(convert(x, y.dtype()), y.device());
  };
  const Tensor cover = like(p.cover_y_ * p.cover_x_, sums_);
  Tensor images = convert(sums_ / cover, dtype_);
  if (recorded_.empty()) return images;
  Tensors inputs;
  std::vector<PatchRows> rows;
  for (const auto& [at, patches] : recorded_) {
    inputs.push_back(patches);
    rows.push_back(at);
  }
  return record_all(
      "fuse_patches", {images}, inputs, [=, at = p.targets_](const Tensors& g, Wanted wanted) {
        const Tensor each = pad(to(g[0], cover.dtype()) / cover, {0, 1, 0, 1});
        Grads out;
        for (size_t i = 0; i < rows.size(); ++i)
          out.push_back(wanted[i] ? to(gather_patches(at, each, rows[i]), g[0].dtype()) : Tensor());
        return out;
      })[0];
}

Tensor image_batching(const Tensor& input, int64_t patch_shape_y, int64_t patch_shape_x,
                      int64_t overlap_pix, int64_t boundary_pix, const Tensor& input_interp) {
  check(input.rank() == 4, "image_batching: wants images [B, C, H, W], got ", input.shape());
  const Size2D patch{patch_shape_y, patch_shape_x};
  const GridPatching2D grid("image_batching", {input.size(2), input.size(3)}, patch, overlap_pix,
                            boundary_pix);
  for (int64_t size : patch)
    check(size > overlap_pix + 2 * boundary_pix, "image_batching: a patch of ", size,
          " pixels must be larger than overlap ", overlap_pix, " and twice the boundary ",
          boundary_pix);
  const Tensor patches = grid.apply(input);
  if (!input_interp.defined()) return patches;
  check(input_interp.rank() == 4 && input_interp.size(0) == input.size(0) &&
            input_interp.size(2) == patch[0] && input_interp.size(3) == patch[1],
        "image_batching: input_interp must have the batch of the images and the size of a patch, "
        "but is ",
        input_interp.shape());
  return cat({patches, grid.repeat(input_interp)}, 1);
}

Tensor image_fuse(const Tensor& input, int64_t img_shape_y, int64_t img_shape_x, int64_t batch_size,
                  int64_t overlap_pix, int64_t boundary_pix) {
  check(input.rank() == 4, "image_fuse: wants patches [P * B, C, h, w], got ", input.shape());
  return GridPatching2D("image_fuse", {img_shape_y, img_shape_x}, {input.size(2), input.size(3)},
                        overlap_pix, boundary_pix)
      .fuse(input, batch_size);
}

Tensor get_overlap_count(Size2D patch_shape, Size2D img_shape, int64_t overlap_pix,
                         int64_t boundary_pix) {
  const Grid grid("get_overlap_count", img_shape, patch_shape, overlap_pix, boundary_pix);
  return reshape(unsqueeze(grid.y.padded_cover(), 1) * grid.x.padded_cover(),
                 {1, 1, grid.y.padded, grid.x.padded});
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
