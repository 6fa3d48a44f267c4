#include <brume/nn/models/song_unet.h>

#include <algorithm>

namespace brume::nn {

SongUNet::SongUNet(Config c) : ScoreUNet(c, plan(c)) {}

ScoreUNet::Plan SongUNet::plan(const Config& c) {
  const std::vector<int64_t> size = c.img_resolution.expand(2, "SongUNet: img_resolution");
  const int64_t levels = check_levels(c, "SongUNet");
  constexpr int64_t kMax = 1 << 20;
  check(size[0] >= int64_t{1} << (levels - 1) && size[0] <= kMax && size[1] >= 1 && size[1] <= kMax,
        "SongUNet: img_resolution must be from ", int64_t{1} << (levels - 1), " to ", kMax,
        ", got ", size[0], " and ", size[1]);
  Plan plan{.who = "SongUNet", .axes = 2, .levels = {}, .attends = {}, .map_label = "map_label"};
  for (int64_t level = 0; level < levels; ++level) {
    const int64_t height = size[0] >> level;
    plan.levels.push_back(cat(height, "x", height));
    plan.attends.push_back(std::find(c.attn_resolutions.begin(), c.attn_resolutions.end(),
                                     height) != c.attn_resolutions.end());
  }
  if (c.additive_pos_embed) plan.additive_embedding = {1, c.model_channels, size[0], size[1]};
  return plan;
}

void SongUNet::check_input(const Tensor& x, const Tensor& noise, const Tensor& classes,
                           const Tensor& augment) const {
  const Config& c = config_;
  check_image(x, c.in_channels);
  const int64_t batch = x.size(0);
  if (c.additive_pos_embed) {
    const std::vector<int64_t> size = c.img_resolution.expand(2, "SongUNet: img_resolution");
    check(x.size(2) == size[0] && x.size(3) == size[1],
          "SongUNet: additive_pos_embed is for images of ", size[0], " x ", size[1], ", but x is ",
          x.shape());
  }
  check<Error>(noise.defined(), "SongUNet: noise_labels is an empty handle");
  check(noise.rank() == 1 && (noise.size(0) == batch || noise.size(0) == 1),
        "SongUNet: noise_labels must be [", batch, "] or [1], but are ", noise.shape());
  if (c.label_dim > 0 && c.embedding_type != EmbeddingType::zero) {
    check(classes.defined(), "SongUNet: label_dim is ", c.label_dim,
          ", so class_labels are needed: [", batch, ", ", c.label_dim, "], zeros for no class");
    check(classes.shape() == Shape{batch, c.label_dim}, "SongUNet: class_labels must be [", batch,
          ", ", c.label_dim, "], but are ", classes.shape());
  }
  if (c.augment_dim > 0 && augment.defined())
    check(augment.shape() == Shape{batch, c.augment_dim}, "SongUNet: augment_labels must be [",
          batch, ", ", c.augment_dim, "], but are ", augment.shape());
}

Tensor SongUNet::operator()(const Tensor& x, const Tensor& noise_labels, const Tensor& class_labels,
                            const Tensor& augment_labels) const {
  check_input(x, noise_labels, class_labels, augment_labels);
  return predict(x, noise_labels, class_labels, augment_labels);
}

}  // namespace brume::nn
