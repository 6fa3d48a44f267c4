#include <brume/diffusion/backbones.h>

#include <brume/diffusion/model.h>

namespace brume::diffusion {
namespace {

using Known = std::initializer_list<std::string_view>;

Tensor class_labels(const Condition& c, const char* who,
                    Known known = {"class_labels", "augment_labels"}) {
  if (c.is_tensor()) return c.tensor();
  c.check_names(known, who);
  return c.find("class_labels");
}
Tensor named(const Condition& c, const char* name) {
  return c.is_tensor() ? Tensor() : c.find(name);
}

template <class Net>
void register_backbone() {
  detail::register_call(typeid(Net),
                        [](nn::Module& m, const Tensor& x, const Tensor& t, const Condition& c) {
                          return call_backbone(static_cast<const Net&>(m), x, t, c);
                        });
}

}  // namespace

Tensor call_backbone(const nn::SongUNet& net, const Tensor& x, const Tensor& t,
                     const Condition& c) {
  return net(x, t, class_labels(c, "SongUNet"), named(c, "augment_labels"));
}
Tensor call_backbone(const nn::DhariwalUNet& net, const Tensor& x, const Tensor& t,
                     const Condition& c) {
  return net(x, t, class_labels(c, "DhariwalUNet"), named(c, "augment_labels"));
}
Tensor call_backbone(const nn::SongUNetPosEmbd& net, const Tensor& x, const Tensor& t,
                     const Condition& c) {
  return net(x, t,
             class_labels(c, "SongUNetPosEmbd", {"class_labels", "augment_labels", "global_index"}),
             {.global_index = named(c, "global_index")}, named(c, "augment_labels"));
}
Tensor call_backbone(const nn::SongUNetPosLtEmbd& net, const Tensor& x, const Tensor& t,
                     const Condition& c) {
  return net(
      x, t,
      class_labels(c, "SongUNetPosLtEmbd",
                   {"class_labels", "augment_labels", "global_index", "lead_time_label"}),
      {.global_index = named(c, "global_index"), .lead_time_label = named(c, "lead_time_label")},
      named(c, "augment_labels"));
}

Tensor call_backbone(const nn::CorrDiffRegressionUNet& net, const Tensor& x, const Tensor& /*t*/,
                     const Condition& c) {
  const Condition image = c.named("img_lr");
  image.check_names({"img_lr", "global_index", "lead_time_label"}, "CorrDiffRegressionUNet");
  return net(x, image.find("img_lr"),
             {.global_index = image.find("global_index"),
              .lead_time_label = image.find("lead_time_label")});
}
Tensor call_backbone(const nn::DiffusionUNet3D& net, const Tensor& x, const Tensor& t,
                     const Condition& c) {
  c.check_names({"vector", "volume"}, "DiffusionUNet3D");
  return net(x, t, c.find("vector"), c.find("volume"));
}
Tensor call_backbone(const nn::DiT& net, const Tensor& x, const Tensor& t, const Condition& c) {
  if (c.empty() || c.is_tensor()) return net(x, t, c.tensor("DiT"));
  c.check_names({"condition", "attn_mask", "p_dropout", "invalid_mask"}, "DiT");
  return net(x, t, c.find("condition"),
             {.attn_mask = c.find("attn_mask"),
              .p_dropout = c.find("p_dropout"),
              .invalid_mask = c.find("invalid_mask")});
}
Tensor call_backbone(const nn::StormCastUNet& net, const Tensor& x, const Tensor& /*t*/,
                     const Condition& c) {
  c.check_names({}, "StormCastUNet");
  return net(x);
}

void register_backbones() {
  register_backbone<nn::SongUNet>();
  register_backbone<nn::SongUNetPosEmbd>();
  register_backbone<nn::SongUNetPosLtEmbd>();
  register_backbone<nn::DhariwalUNet>();
  register_backbone<nn::CorrDiffRegressionUNet>();
  register_backbone<nn::StormCastUNet>();
  register_backbone<nn::DiffusionUNet3D>();
  register_backbone<nn::DiT>();
}

}  // namespace brume::diffusion
