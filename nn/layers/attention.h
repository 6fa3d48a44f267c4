#pragma once

#include <optional>

#include <brume/nn/layers/conv2d.h>
#include <brume/nn/layers/norm.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// Keyword arguments of a layer's initialisation, as the reference passes them around.
struct InitConfig {
  InitMode init_mode = InitMode::kaiming_normal;
  double init_weight = 1, init_bias = 0;

  template <class V>
  void fields(V& v) {
    v("init_mode", init_mode);
    v("init_weight", init_weight);
    v("init_bias", init_bias);
  }
};

struct UNetAttentionConfig {
  int64_t out_channels = 0, num_heads = 0;
  double eps = 1e-5;
  InitConfig init_zero = {.init_weight = 0};
  std::optional<InitConfig> init_attn{};  // as init
  InitConfig init{};
  bool use_apex_gn = false;
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("out_channels", out_channels, required);
    v("num_heads", num_heads, required);
    v("eps", eps);
    v("init_zero", init_zero);
    v("init_attn", init_attn);
    v("init", init);
    v("use_apex_gn", use_apex_gn);
    v.ignored(ignored, {"amp_mode", "fused_conv_bias"});
  }
};

/// Self-attention between the pixels of an image, with its own norm and residual:
/// proj(attention(qkv(norm(x)))) + x.
/// @shape x [B, C, ...] -> same
class UNetAttention : public Module {
 public:
  using Config = UNetAttentionConfig;
  explicit UNetAttention(const Config& c);
  /// The result is multiplied by `scale`.
  Tensor operator()(const Tensor& x, double scale = 1) const;

 protected:
  UNetAttention(const Config& c, int axes);

 private:
  int64_t heads_;
  Ref<GroupNorm> norm_;
  Ref<ResamplingConv> qkv_, proj_;
};

struct UNetAttention3DConfig : UNetAttentionConfig {
  UNetAttention3DConfig(const UNetAttentionConfig& c = {}) : UNetAttentionConfig(c) {}

  template <class V>
  void fields(V& v) {
    v("out_channels", out_channels, required);
    v("num_heads", num_heads, required);
    v("eps", eps);
    v("init_zero", init_zero);
    v("init_attn", init_attn);
    v("init", init);
  }
};

/// The same between the voxels of a volume. @shape x [B, C, D, H, W] -> same
class UNetAttention3D : public UNetAttention {
 public:
  using Config = UNetAttention3DConfig;
  explicit UNetAttention3D(const Config& c) : UNetAttention(c, 3) {}
};

}  // namespace brume::nn
