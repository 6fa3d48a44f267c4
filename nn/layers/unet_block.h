#pragma once

#include <optional>
#include <string>

#include <brume/nn/layers/attention.h>
#include <brume/nn/layers/conv2d.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/layers/norm.h>

namespace brume::nn {

struct UNetBlockConfig {
  int64_t in_channels = 0, out_channels = 0, emb_channels = 0;
  bool up = false, down = false, attention = false;
  std::optional<int64_t> num_heads{};  // out_channels / channels_per_head
  int64_t channels_per_head = 64;
  double dropout = 0;
  double skip_scale = 1;
  double eps = 1e-5;
  std::vector<double> resample_filter = {1, 1};
  bool resample_proj = false;
  bool adaptive_scale = true;
  InitConfig init{};
  InitConfig init_zero = {.init_weight = 0};
  std::optional<InitConfig> init_attn{};  // as init
  bool use_apex_gn = false;
  std::string act = "silu";
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("emb_channels", emb_channels, required);
    v("up", up);
    v("down", down);
    v("attention", attention);
    v("num_heads", num_heads);
    v("channels_per_head", channels_per_head);
    v("dropout", dropout);
    v("skip_scale", skip_scale);
    v("eps", eps);
    v("resample_filter", resample_filter);
    v("resample_proj", resample_proj);
    v("adaptive_scale", adaptive_scale);
    v("init", init);
    v("init_zero", init_zero);
    v("init_attn", init_attn);
    v("use_apex_gn", use_apex_gn);
    v("act", act);
    v.ignored(ignored, {"fused_conv_bias", "profile_mode", "amp_mode"});
  }
};

/// Residual block of the diffusion UNets: norm, convolution (resampling), the embedding as scale
/// and shift (or, without adaptive_scale, added), norm, dropout, convolution; a skip beside it and
/// attention behind it.
/// @shape x [B, in_channels, H, W], emb [B or 1, emb_channels] -> [B, out_channels, H', W']
/// @source Dhariwal and Nichol 2021, arXiv:2105.05233; Karras et al. 2022, arXiv:2206.00364
class UNetBlock : public Module {
 public:
  using Config = UNetBlockConfig;
  explicit UNetBlock(Config c) : UNetBlock(std::move(c), 2) {}
  Tensor operator()(const Tensor& x, const Tensor& emb) const;

  /// Older files name the parts of the attention without `attn`.
  LegacyKeys legacy_keys() const override;

 protected:
  UNetBlock(Config c, int axes);

 private:
  Ref<GroupNorm> norm(const char* name, int64_t channels, bool then_act);
  Ref<ResamplingConv> conv(const char* name, int64_t in, int64_t kernel, bool resample,
                           const InitConfig& init);
  void make_attention();

  Config config_;
  int axes_;
  Activation adaptive_act_;
  Ref<GroupNorm> norm0_, norm1_;
  Ref<ResamplingConv> conv0_, conv1_, skip_;  // no skip: the identity
  Ref<Linear> affine_;
  Ref<UNetAttention> attn_;
};

enum class UNetActivation { silu, gelu };
Names names_of(UNetActivation);

struct UNetBlock3DConfig : UNetBlockConfig {
  UNetBlock3DConfig(UNetBlockConfig c = {}) : UNetBlockConfig(std::move(c)) {}
  UNetActivation activation = UNetActivation::silu;

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("emb_channels", emb_channels, required);
    v("up", up);
    v("down", down);
    v("attention", attention);
    v("num_heads", num_heads);  // 1
    v("dropout", dropout);
    v("skip_scale", skip_scale);
    v("eps", eps);
    v("resample_filter", resample_filter);
    v("resample_proj", resample_proj);
    v("adaptive_scale", adaptive_scale);
    v("activation", activation);
    v("init", init);
    v("init_zero", init_zero);
    v("init_attn", init_attn);
  }
};

/// The same block of volumes, made of Conv3D, GroupNorm3D and UNetAttention3D.
/// @shape x [B, in_channels, D, H, W], emb [B or 1, emb_channels] -> [B, out_channels, D', H', W']
class UNetBlock3D : public UNetBlock {
 public:
  using Config = UNetBlock3DConfig;
  explicit UNetBlock3D(Config c);
};

}  // namespace brume::nn
