#pragma once
// A model that works on patches of a large image.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <brume/diffusion/model.h>
#include <brume/diffusion/multi_diffusion/patching.h>
#include <brume/nn/config.h>

namespace brume::diffusion {

/// What a model is told about where a patch is: a grid over the whole image, cut like the image.
enum class GlobalEmbedding { learnable, sinusoidal, linear };
nn::Names names_of(GlobalEmbedding);

struct MultiDiffusionModel2DConfig {
  nn::Ref<nn::Module> model{};
  std::vector<int64_t> global_spatial_shape{};
  std::optional<GlobalEmbedding> positional_embedding{};
  int64_t channels_positional_embedding = 4;
  /// How a condition of rank 4 reaches the patches: cut like the image, or resized to a patch.
  /// Otherwise every patch gets the condition of its image as it is. One answer for all tensors, or
  /// one for each name; the condition must then have these names.
  nn::Switches condition_patch{}, condition_interp{};
  template <class V>
  void fields(V& v) {
    v("model", model, nn::required);
    v("global_spatial_shape", global_spatial_shape, nn::required);
    v("positional_embedding", positional_embedding);
    v("channels_positional_embedding", channels_positional_embedding);
    v("condition_patch", condition_patch);
    v("condition_interp", condition_interp);
  }
};

/// What a call brings as the rows of all patches, cut already. Such a condition lacks the embedding
/// only.
struct PatchedInputs {
  bool x_is_patched = false, t_is_patched = false, condition_is_patched = false;
};

/// Cuts x into patches, asks the model for each, and fuses the answers of a grid. The embedding, if
/// there is one, joins the condition as "positional_embedding" (a tensor without a name becomes
/// "condition"). Keys: model.*, _patch_shape, pos_embd (learnable or linear).
/// @shape  x [B, C, H, W] -> [B, C, H, W] of a fused grid, else [P * B, C, h, w]
/// @throws ShapeError if x has another size than the whole image, or the condition does not suit
///         condition_patch or condition_interp; Error before a patching was set
class MultiDiffusionModel2D : public nn::Module {
 public:
  using Config = MultiDiffusionModel2DConfig;
  explicit MultiDiffusionModel2D(const Config& config)
      : MultiDiffusionModel2D(config.model, config) {}
  MultiDiffusionModel2D(AnyModel model, const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {},
                    const PatchedInputs& inputs = {}) const;

  void set_random_patching(Size2D patch_shape, int64_t patch_num, Generator& rng);
  void set_grid_patching(Size2D patch_shape, int64_t overlap_pix = 0, int64_t boundary_pix = 0,
                         bool fuse = true);
  /// @throws Error unless patches are random
  void reset_patch_indices(Generator& rng);

  /// The model itself, for patches: rows of x, t and a condition that are cut already, with the
  /// embedding in it.
  const AnyModel& model() const { return model_; }
  /// @throws Error before one was set
  const BasePatching2D& patching() const;
  bool has_random_patching() const;
  Size2D global_spatial_shape() const { return global_shape_; }
  /// The last patch shape that was set, also before a file was saved; 0x0 if none was.
  Size2D patch_shape() const;
  /// The condition for rows of a patching, with the embedding, which has the type of the rows' x.
  Condition patch_condition(const BasePatching2D& patching, const Condition& condition,
                            const PatchRows& rows, DType dtype = DType::f32) const;
  /// The condition with what condition_interp resizes at the size of patches, so that
  /// patch_condition need not do it for every few rows.
  Condition resized(const BasePatching2D& patching, const Condition& condition) const;

 private:
  void set_patching(std::shared_ptr<BasePatching2D> patching, bool fuse);
  Tensor patched(const BasePatching2D& patching, const std::string& key, const Tensor& x,
                 const PatchRows& rows) const;
  Condition with_embedding(const BasePatching2D& patching, const Condition& condition,
                           const PatchRows& rows, DType dtype) const;
  void make_embedding(const Config& config);

  AnyModel model_;
  Size2D global_shape_{};
  nn::Switches condition_patch_, condition_interp_;
  bool fuses_ = false;
  Tensor pos_embd_, patch_shape_;
  std::shared_ptr<BasePatching2D> patching_;
};

}  // namespace brume::diffusion
