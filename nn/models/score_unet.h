#pragma once
// ScoreUNet: what the U-Nets of score-based diffusion models share, over images and volumes.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <brume/nn/layers/conv2d.h>
#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/layers/norm.h>
#include <brume/nn/layers/unet_block.h>
#include <brume/nn/module.h>

namespace brume::nn {

enum class EmbeddingType { positional, fourier, zero };
Names names_of(EmbeddingType);
enum class EncoderType { standard, skip, residual };
Names names_of(EncoderType);
enum class DecoderType { standard, skip };
Names names_of(DecoderType);

/// SongUNet's arguments. The defaults are DDPM++. NCSN++: embedding_type fourier,
/// channel_mult_noise 2, encoder_type residual, resample_filter {1, 3, 3, 1}.
struct SongUNetConfig {
  OneOrMany<int64_t> img_resolution = 0;  // H = W, or {H, W}
  int64_t in_channels = 0, out_channels = 0;
  int64_t label_dim = 0, augment_dim = 0;
  int64_t model_channels = 128;
  std::vector<int64_t> channel_mult = {1, 2, 2, 2};  // one per level
  int64_t channel_mult_emb = 4;
  int64_t num_blocks = 4;
  std::vector<int64_t> attn_resolutions = {16};  // heights of levels with attention
  double dropout = 0.10;
  double label_dropout = 0;  // training: probability that a sample's class labels are zeroed
  EmbeddingType embedding_type = EmbeddingType::positional;
  int64_t channel_mult_noise = 1;
  EncoderType encoder_type = EncoderType::standard;
  DecoderType decoder_type = DecoderType::standard;
  std::vector<double> resample_filter = {1, 1};
  int64_t checkpoint_level = 0;  // levels whose blocks are computed again in backward
  bool additive_pos_embed = false;
  bool bottleneck_attention = true;
  bool use_apex_gn = false;
  std::string act = "silu";
  Ignored ignored{};

  static constexpr std::array kOverridable{"use_apex_gn", "act"};

  template <class V>
  void fields(V& v) {
    v("img_resolution", img_resolution, required);
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    options(v);
  }
  /// All but the sizes, which a network around it may choose.
  template <class V>
  void options(V& v) {
    v("label_dim", label_dim);
    v("augment_dim", augment_dim);
    v("model_channels", model_channels);
    v("channel_mult", channel_mult);
    v("channel_mult_emb", channel_mult_emb);
    v("num_blocks", num_blocks);
    v("attn_resolutions", attn_resolutions);
    v("dropout", dropout);
    v("label_dropout", label_dropout);
    v("embedding_type", embedding_type);
    v("channel_mult_noise", channel_mult_noise);
    v("encoder_type", encoder_type);
    v("decoder_type", decoder_type);
    v("resample_filter", resample_filter);
    v("checkpoint_level", checkpoint_level);
    v("additive_pos_embed", additive_pos_embed);
    v("bottleneck_attention", bottleneck_attention);
    v("use_apex_gn", use_apex_gn);
    v("act", act);
    v.ignored(ignored, {"profile_mode", "amp_mode"});
  }
};

/// Encoder and decoder of UNetBlocks over levels of halved resolution, joined by skips, under an
/// embedding of a noise level: what SongUNet (images) and DiffusionUNet3D (volumes) share.
class ScoreUNet : public Module {
 protected:
  /// What a network says about itself beside the options that all have.
  struct Plan {
    const char* who;
    int axes;                         // 2 or 3
    std::vector<std::string> levels;  // their names in keys: "16x16"
    std::vector<bool> attends;        // levels with attention
    const char* map_label;            // the key of the map of class labels
    Shape additive_embedding{};       // learnable, added to the first features; rank 0: none
    UNetActivation activation = UNetActivation::silu;  // of volumes
  };
  ScoreUNet(SongUNetConfig c, Plan plan);
  /// The number of levels. @throws ShapeError unless it is from 1 to 20
  static int64_t check_levels(const SongUNetConfig& c, const char* who);

  /// @throws ShapeError unless x is [B, channels, sizes that all levels can halve]
  void check_image(const Tensor& x, int64_t channels) const;
  /// @shape x [B, in_channels, ...], noise [B or 1], classes and augment [B, D] or undefined
  Tensor predict(const Tensor& x, const Tensor& noise, const Tensor& classes,
                 const Tensor& augment) const;

  SongUNetConfig config_;

 private:
  enum class Role { conv, block, aux_filter, aux_skip, aux_residual, head };
  /// One step of the encoder or decoder; what its role does not need stays empty.
  struct Step {
    Role role;
    int level;
    bool takes_skip = false;  // decoder blocks that are joined with a skip
    Ref<UNetBlock> block{};
    Ref<ResamplingConv> conv{};
    Ref<GroupNorm> norm{};
  };

  void check_config() const;
  void make_embedding();
  std::vector<int64_t> make_encoder();  // channels of the skips
  void make_decoder(std::vector<int64_t> skips);
  Step block_step(const std::string& name, int level, int64_t in, int64_t out, UNetBlockConfig c);
  Ref<ResamplingConv> conv_layer(const std::string& name, Conv2dConfig c);
  Ref<GroupNorm> head_norm(const std::string& name, int64_t channels);
  std::string prefix(const char* half, int level) const;

  Tensor embed(const Tensor& noise, const Tensor& classes, const Tensor& augment) const;
  Tensor run_block(const Step& step, const Tensor& x, const Tensor& emb) const;
  Tensor encode(const Tensor& x, const Tensor& emb, std::vector<Tensor>& skips) const;
  Tensor decode(Tensor x, const Tensor& emb, std::vector<Tensor> skips) const;

  Plan plan_;
  Ref<PositionalEmbedding> positional_;
  Ref<FourierEmbedding> fourier_;
  Ref<Linear> map_label_, map_augment_, map_layer0_, map_layer1_;
  Tensor zero_emb_, spatial_emb_;
  std::vector<Step> encoder_, decoder_;
};

}  // namespace brume::nn
