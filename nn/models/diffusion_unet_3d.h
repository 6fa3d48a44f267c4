#pragma once
// DiffusionUNet3D: SongUNet for volumes, which speaks (x, t, condition) itself.

#include <vector>

#include <brume/nn/models/score_unet.h>

namespace brume::nn {

struct DiffusionUNet3DConfig {
  int64_t x_channels = 0;
  int64_t vol_cond_channels = 0, vec_cond_dim = 0;
  int64_t num_levels = 4;
  int64_t model_channels = 128;
  std::vector<int64_t> channel_mult = {1, 2, 2, 2};  // one per level
  int64_t channel_mult_emb = 4;
  int64_t num_blocks = 4;
  std::vector<int64_t> attention_levels{};  // 0 is the finest
  double dropout = 0.10;
  EmbeddingType embedding_type = EmbeddingType::positional;
  int64_t channel_mult_noise = 1;
  EncoderType encoder_type = EncoderType::standard;
  DecoderType decoder_type = DecoderType::standard;
  std::vector<double> resample_filter = {1, 1};
  int64_t checkpoint_level = 0;
  bool bottleneck_attention = true;
  UNetActivation activation = UNetActivation::silu;

  template <class V>
  void fields(V& v) {
    v("x_channels", x_channels, required);
    v("vol_cond_channels", vol_cond_channels);
    v("vec_cond_dim", vec_cond_dim);
    v("num_levels", num_levels);
    v("model_channels", model_channels);
    v("channel_mult", channel_mult);
    v("channel_mult_emb", channel_mult_emb);
    v("num_blocks", num_blocks);
    v("attention_levels", attention_levels);
    v("dropout", dropout);
    v("embedding_type", embedding_type);
    v("channel_mult_noise", channel_mult_noise);
    v("encoder_type", encoder_type);
    v("decoder_type", decoder_type);
    v("resample_filter", resample_filter);
    v("checkpoint_level", checkpoint_level);
    v("bottleneck_attention", bottleneck_attention);
    v("activation", activation);
  }
};

/// Encoder and decoder of UNetBlock3Ds over levels of halved resolution, joined by skips; a volume
/// as condition goes beside x, a vector into the embedding of t. A vector that is missing adds
/// nothing.
/// @shape  x [B, x_channels, D, H, W], t [B], vector [B, vec_cond_dim] or undefined, volume
///         [B, vol_cond_channels, D, H, W] -> as x; sizes are multiples of 2^(num_levels - 1)
/// @throws ShapeError if a shape does not fit, or a condition is given that the network lacks
/// @source Song et al. 2021, arXiv:2011.13456
class DiffusionUNet3D : public ScoreUNet {
 public:
  using Config = DiffusionUNet3DConfig;
  explicit DiffusionUNet3D(Config c);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& vector = {},
                    const Tensor& volume = {}) const;

 private:
  static Plan plan(const Config& c);
  Config volumes_;
};

}  // namespace brume::nn
