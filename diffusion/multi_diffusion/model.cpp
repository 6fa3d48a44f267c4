#include <brume/diffusion/multi_diffusion/model.h>

#include <cmath>
#include <numbers>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

// For f = 1, 2, 4, ...: sin f X, sin f Y, cos f X, cos f Y, with X and Y from 0 to 2 pi.
Tensor sinusoidal(int64_t channels, Size2D size) {
  const auto angle = [](int64_t i, int64_t n) {
    return n == 1 ? 0 : 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n - 1);
  };
  std::vector<float> out;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t y = 0; y < size[0]; ++y)
      for (int64_t x = 0; x < size[1]; ++x) {
        const double along = c % 2 == 0 ? angle(x, size[1]) : angle(y, size[0]);
        const double phase = std::ldexp(along, static_cast<int>(c / 4));
        out.push_back(static_cast<float>(c % 4 < 2 ? std::sin(phase) : std::cos(phase)));
      }
  return from_vector(out, {channels, size[0], size[1]});
}

// Rows from -1 to 1, then columns.
Tensor linear_grid(Size2D size) {
  const auto along = [](int64_t i, int64_t n) {
    return n == 1 ? -1 : 2 * static_cast<double>(i) / static_cast<double>(n - 1) - 1;
  };
  std::vector<float> out;
  for (int64_t c = 0; c < 2; ++c)
    for (int64_t y = 0; y < size[0]; ++y)
      for (int64_t x = 0; x < size[1]; ++x)
        out.push_back(static_cast<float>(c == 0 ? along(y, size[0]) : along(x, size[1])));
  return from_vector(out, {2, size[0], size[1]});
}

// The image itself where it has this size.
Tensor resized_image(const Tensor& x, Size2D size) {
  return Size2D{x.size(2), x.size(3)} == size ? x : resize_bilinear(x, size);
}

}  // namespace

nn::Names names_of(GlobalEmbedding) {
  static constexpr const char* kNames[] = {"learnable", "sinusoidal", "linear"};
  return kNames;
}

MultiDiffusionModel2D::MultiDiffusionModel2D(AnyModel model, const Config& config)
    : model_(std::move(model)),
      condition_patch_(config.condition_patch),
      condition_interp_(config.condition_interp) {
  const std::vector<int64_t>& size = config.global_spatial_shape;
  check(size.size() == 2 && size[0] >= 1 && size[1] >= 1,
        "MultiDiffusionModel2D: global_spatial_shape is {height, width}");
  check(!condition_patch_[""] || !condition_interp_[""],
        "MultiDiffusionModel2D: condition_patch and condition_interp exclude each other");
  for (const nn::Switches* switches : {&condition_patch_, &condition_interp_})
    for (const auto& [name, on] : switches->named())
      check(!condition_patch_[name] || !condition_interp_[name],
            "MultiDiffusionModel2D: condition '", name, "' is to be both cut and resized");
  global_shape_ = {size[0], size[1]};
  make_embedding(config);
  patch_shape_ = buffer("_patch_shape", zeros({2}, {.dtype = DType::i64}));
  if (model_.module()) {
    child("model", model_.module());
    Config own = config;
    own.model = model_.module();
    made_from<MultiDiffusionModel2D>(std::move(own));
  }
}

void MultiDiffusionModel2D::make_embedding(const Config& config) {
  if (!config.positional_embedding) return;
  const int64_t channels = config.channels_positional_embedding;
  const Shape shape{channels, global_shape_[0], global_shape_[1]};
  switch (*config.positional_embedding) {
    case GlobalEmbedding::learnable:
      pos_embd_ = param("pos_embd", shape, nn::Init::normal(1));
      break;
    case GlobalEmbedding::sinusoidal:
      check(channels >= 4 && channels % 4 == 0,
            "MultiDiffusionModel2D: a sinusoidal embedding has a multiple of 4 channels, got ",
            channels);
      pos_embd_ = buffer(
          "pos_embd", shape, [=, size = global_shape_] { return sinusoidal(channels, size); },
          nn::transient);
      break;
    case GlobalEmbedding::linear:
      check(channels == 2, "MultiDiffusionModel2D: a linear embedding has 2 channels, got ",
            channels);
      pos_embd_ = buffer("pos_embd", shape, [size = global_shape_] { return linear_grid(size); });
      break;
  }
}

void MultiDiffusionModel2D::set_patching(std::shared_ptr<BasePatching2D> patching, bool fuse) {
  patching_ = std::move(patching);
  fuses_ = fuse;
  const auto [h, w] = patching_->patch_shape();
  copy_(patch_shape_, from_vector(std::vector<int64_t>{h, w}, {2}));
}

void MultiDiffusionModel2D::set_random_patching(Size2D patch_shape, int64_t patch_num,
                                                Generator& rng) {
  set_patching(std::make_shared<RandomPatching2D>(global_shape_, patch_shape, patch_num, rng),
               false);
}

void MultiDiffusionModel2D::set_grid_patching(Size2D patch_shape, int64_t overlap_pix,
                                              int64_t boundary_pix, bool fuse) {
  set_patching(
      std::make_shared<GridPatching2D>(global_shape_, patch_shape, overlap_pix, boundary_pix),
      fuse);
}

void MultiDiffusionModel2D::reset_patch_indices(Generator& rng) {
  auto* random = dynamic_cast<RandomPatching2D*>(patching_.get());
  check<Error>(random != nullptr,
               "MultiDiffusionModel2D: patches are not random; call set_random_patching first");
  random->reset_patch_indices(rng);
}

const BasePatching2D& MultiDiffusionModel2D::patching() const {
  check<Error>(patching_ != nullptr,
               "MultiDiffusionModel2D: has no patching; call set_random_patching or "
               "set_grid_patching first");
  return *patching_;
}

bool MultiDiffusionModel2D::has_random_patching() const {
  return dynamic_cast<const RandomPatching2D*>(patching_.get()) != nullptr;
}

Size2D MultiDiffusionModel2D::patch_shape() const {
  const std::vector<int64_t> size = patch_shape_.to_vector<int64_t>();
  return {size[0], size[1]};
}

Tensor MultiDiffusionModel2D::patched(const BasePatching2D& patching, const std::string& key,
                                      const Tensor& x, const PatchRows& rows) const {
  const bool cuts = condition_patch_[key];
  if (!cuts && !condition_interp_[key]) return patching.repeat_rows(x, rows);
  check(x.rank() == 4, "MultiDiffusionModel2D: the condition",
        key.empty() ? "" : cat(" '", key, "'"), " is to be ", cuts ? "cut" : "resized",
        " and so must be [B, C, H, W], got ", x.shape());
  return cuts ? patching.apply_rows(x, rows)
              : patching.repeat_rows(resized_image(x, patching.patch_shape()), rows);
}

Condition MultiDiffusionModel2D::resized(const BasePatching2D& patching,
                                         const Condition& condition) const {
  return condition.each([&](const std::string& key, const Tensor& x) {
    return condition_interp_[key] && x.rank() == 4 ? resized_image(x, patching.patch_shape()) : x;
  });
}

Condition MultiDiffusionModel2D::patch_condition(const BasePatching2D& patching,
                                                 const Condition& condition, const PatchRows& rows,
                                                 DType dtype) const {
  condition.check_batch(rows.batch, "MultiDiffusionModel2D");
  for (const nn::Switches* switches : {&condition_patch_, &condition_interp_}) {
    if (!switches->is_named() || condition.empty()) continue;
    check(!condition.is_tensor(),
          "MultiDiffusionModel2D: condition_patch and condition_interp have names, but the "
          "condition is a tensor without one");
    for (const auto& [name, on] : switches->named()) (void)condition.at(name);
  }
  return with_embedding(patching, condition.each([&](const std::string& key, const Tensor& x) {
    return patched(patching, key, x, rows);
  }),
                        rows, dtype);
}

Condition MultiDiffusionModel2D::with_embedding(const BasePatching2D& patching,
                                                const Condition& condition, const PatchRows& rows,
                                                DType dtype) const {
  if (!pos_embd_.defined()) return condition;
  const auto [H, W] = patching.img_shape();
  check(patching.img_shape() == global_shape_,
        "MultiDiffusionModel2D: its positional embedding is ", global_shape_[0], "x",
        global_shape_[1], ", the image to cut is ", H, "x", W);
  // In place of one that the caller gave, as in the reference.
  return condition.named("condition")
      .without("positional_embedding")
      .with("positional_embedding",
            patching.apply_rows(brume::to(unsqueeze(pos_embd_, 0), dtype), rows));
}

Tensor MultiDiffusionModel2D::operator()(const Tensor& x, const Tensor& t,
                                         const Condition& condition,
                                         const PatchedInputs& inputs) const {
  const BasePatching2D& cut = patching();
  check(x.rank() == 4 && t.rank() == 1,
        "MultiDiffusionModel2D: wants x [B, C, H, W] and t [B], got ", x.shape(), " and ",
        t.shape());
  const int64_t P = cut.patch_num(), B = inputs.x_is_patched ? x.size(0) / P : x.size(0);
  const Size2D size{x.size(2), x.size(3)};
  check(!inputs.x_is_patched || (x.size(0) == P * B && size == cut.patch_shape()),
        "MultiDiffusionModel2D: with x_is_patched, x has ", P, " patches of ", cut.patch_shape()[0],
        "x", cut.patch_shape()[1], " for each image, got ", x.shape());
  check(t.size(0) == (inputs.t_is_patched ? P * B : B), "MultiDiffusionModel2D: wants t of ",
        inputs.t_is_patched ? P * B : B, " times, got ", t.shape());
  const PatchRows rows{0, P * B, B};
  if (inputs.condition_is_patched) condition.check_batch(P * B, "MultiDiffusionModel2D");
  const Tensor patches = inputs.x_is_patched ? x : cut.apply(x);
  const Tensor y =
      model_(patches, inputs.t_is_patched ? t : cut.repeat(t),
             inputs.condition_is_patched ? with_embedding(cut, condition, rows, x.dtype())
                                         : patch_condition(cut, condition, rows, x.dtype()));
  check(y.rank() == 4 && y.size(0) == patches.size(0) && y.size(2) == patches.size(2) &&
            y.size(3) == patches.size(3),
        "MultiDiffusionModel2D: the model returned ", y.shape(), " for patches of ",
        patches.shape());
  return fuses_ ? static_cast<const GridPatching2D&>(cut).fuse(y, B) : y;
}

}  // namespace brume::diffusion
