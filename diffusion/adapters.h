#pragma once
// Backbones behind (x, t, condition).

#include <string>

#include <brume/diffusion/model.h>
#include <brume/nn/models/song_unet.h>

namespace brume::diffusion {

/// SongUNet with t as its noise labels and the condition as its class labels. Keys: net.*
/// The condition: nothing, one tensor [B, label_dim], or "class_labels" and "augment_labels".
class SongUNetAdapter : public nn::Module {
 public:
  using Config = nn::SongUNetConfig;
  explicit SongUNetAdapter(Config config) : net(child<nn::SongUNet>("net", std::move(config))) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const;
  nn::Ref<nn::SongUNet> net;
};

struct ConcatConditionWrapperConfig {
  nn::Ref<nn::Module> model{};
  std::string image_cond_key = "cond_concat", vector_cond_key = "cond_vec";
  template <class V>
  void fields(V& v) {
    v("model", model, nn::required);
    v("image_cond_key", image_cond_key);
    v("vector_cond_key", vector_cond_key);
  }
};

/// Joins an image condition to x along the channels and passes a vector condition on.
/// The condition: one tensor (the image), or either or both of the two keys. Beside these the model
/// gets what else is named, such as "augment_labels", with the vector as "class_labels".
/// @shape image [B, Cc, ...] with x's spatial sizes, vector [B, D]
/// @throws ShapeError if neither key is there, sizes differ from x's, or the model does not know a
///         name
class ConcatConditionWrapper : public nn::Module {
 public:
  using Config = ConcatConditionWrapperConfig;
  explicit ConcatConditionWrapper(const Config& config);
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const;

 private:
  AnyModel model_;
  std::string image_key_, vector_key_;
};

}  // namespace brume::diffusion
