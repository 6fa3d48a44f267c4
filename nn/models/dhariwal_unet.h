#pragma once
// DhariwalUNet: the U-Net of "Diffusion models beat GANs" (ADM).

#include <string>
#include <vector>

#include <brume/nn/layers/conv2d.h>
#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/layers/unet_block.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct DhariwalUNetConfig {
  OneOrMany<int64_t> img_resolution = 0;
  int64_t in_channels = 0, out_channels = 0;
  int64_t label_dim = 0, augment_dim = 0;
  int64_t model_channels = 192;
  std::vector<int64_t> channel_mult = {1, 2, 3, 4};  // one per level
  int64_t channel_mult_emb = 4;
  int64_t num_blocks = 3;
  std::vector<int64_t> attn_resolutions = {32, 16, 8};
  double dropout = 0.10;
  double label_dropout = 0;
  Ignored ignored{};

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
    v.ignored(ignored, {"profile_mode", "amp_mode"});
  }
};

/// Encoder and decoder of UNetBlocks that take the embedding as scale and shift; attention with
/// heads of 64 channels in every block of a listed height and between the halves. A new one returns
/// 0.
/// @shape  x [B, in_channels, H, W], noise_labels [B] or [1], class_labels [B, label_dim],
///         augment_labels [B, augment_dim] -> [B, out_channels, H, W]; H and W are multiples of
///         2^(levels - 1)
/// @source Dhariwal and Nichol 2021, arXiv:2105.05233
class DhariwalUNet : public Module {
 public:
  using Config = DhariwalUNetConfig;
  explicit DhariwalUNet(Config c);
  Tensor operator()(const Tensor& x, const Tensor& noise_labels, const Tensor& class_labels = {},
                    const Tensor& augment_labels = {}) const;

 private:
  struct DecoderBlock {
    Ref<UNetBlock> block;
    bool takes_skip;
  };
  void make_embedding();
  void make_encoder();
  void make_decoder();
  Ref<UNetBlock> block(const std::string& name, int64_t out, bool attention,
                       UNetBlockConfig c = {});
  Tensor embed(const Tensor& noise, const Tensor& classes, const Tensor& augment) const;

  Config config_;
  int64_t height_;
  int64_t channels_ = 0;        // while it is made: of the last block so far
  std::vector<int64_t> skips_;  // likewise: of the skips that are not taken yet
  Ref<PositionalEmbedding> map_noise_;
  Ref<Linear> map_augment_, map_layer0_, map_layer1_, map_label_;
  Ref<Conv2d> first_;
  std::vector<Ref<UNetBlock>> encoder_;
  std::vector<DecoderBlock> decoder_;
  Ref<GroupNorm> out_norm_;
  Ref<Conv2d> out_conv_;
};

}  // namespace brume::nn
