#include <brume/nn/models/diffusion_unet_3d.h>

#include <algorithm>

#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

SongUNetConfig as_images(const DiffusionUNet3DConfig& c) {
  return {.in_channels = c.x_channels + c.vol_cond_channels,
          .out_channels = c.x_channels,
          .label_dim = c.vec_cond_dim,
          .model_channels = c.model_channels,
          .channel_mult = c.channel_mult,
          .channel_mult_emb = c.channel_mult_emb,
          .num_blocks = c.num_blocks,
          .dropout = c.dropout,
          .embedding_type = c.embedding_type,
          .channel_mult_noise = c.channel_mult_noise,
          .encoder_type = c.encoder_type,
          .decoder_type = c.decoder_type,
          .resample_filter = c.resample_filter,
          .checkpoint_level = c.checkpoint_level,
          .bottleneck_attention = c.bottleneck_attention};
}

}  // namespace

DiffusionUNet3D::DiffusionUNet3D(Config c)
    : ScoreUNet(as_images(c), plan(c)), volumes_(std::move(c)) {}

ScoreUNet::Plan DiffusionUNet3D::plan(const Config& c) {
  check(static_cast<int64_t>(c.channel_mult.size()) == c.num_levels,
        "DiffusionUNet3D: channel_mult must hold num_levels = ", c.num_levels, " numbers, got ",
        c.channel_mult.size());
  check(c.vol_cond_channels >= 0 && c.vol_cond_channels <= 1 << 20,
        "DiffusionUNet3D: vol_cond_channels must be from 0 to ", 1 << 20, ", got ",
        c.vol_cond_channels);
  check(c.embedding_type != EmbeddingType::zero || c.vec_cond_dim == 0,
        "DiffusionUNet3D: embedding_type zero has no place for a vector; vec_cond_dim must be 0, "
        "got ",
        c.vec_cond_dim);
  Plan plan{.who = "DiffusionUNet3D",
            .axes = 3,
            .levels = {},
            .attends = std::vector<bool>(c.channel_mult.size()),
            .map_label = "map_condition",
            .activation = c.activation};
  for (size_t level = 0; level < c.channel_mult.size(); ++level)
    plan.levels.push_back(cat("l", level));
  for (const int64_t level : c.attention_levels) {
    check(level >= 0 && level < c.num_levels, "DiffusionUNet3D: attention_levels must be below ",
          c.num_levels, ", got ", level);
    plan.attends[static_cast<size_t>(level)] = true;
  }
  return plan;
}

Tensor DiffusionUNet3D::operator()(const Tensor& x, const Tensor& t, const Tensor& vector,
                                   const Tensor& volume) const {
  const Config& c = volumes_;
  check_image(x, c.x_channels);
  const int64_t batch = x.size(0);
  check(t.shape() == Shape{batch}, "DiffusionUNet3D: t must be [", batch, "], but is ", t.shape());
  if (vector.defined()) {
    check(c.vec_cond_dim > 0, "DiffusionUNet3D: a vector is given, but vec_cond_dim is 0");
    check(vector.shape() == Shape{batch, c.vec_cond_dim}, "DiffusionUNet3D: the vector must be [",
          batch, ", ", c.vec_cond_dim, "], but is ", vector.shape());
  }
  check(volume.defined() || c.vol_cond_channels == 0, "DiffusionUNet3D: the volume of ",
        c.vol_cond_channels, " channels beside x is missing");
  if (!volume.defined()) return predict(x, t, vector, {});
  Shape beside = x.shape();
  beside[1] = c.vol_cond_channels;
  check(c.vol_cond_channels > 0, "DiffusionUNet3D: a volume is given, but vol_cond_channels is 0");
  check(volume.shape() == beside, "DiffusionUNet3D: the volume must be ", beside, ", but is ",
        volume.shape());
  return predict(cat({x, as_dtype(volume, x)}, 1), t, vector, {});
}

}  // namespace brume::nn
