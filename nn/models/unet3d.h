#pragma once
// UNet3D: the plain convolutional U-Net for volumes (the reference's models.unet.UNet).

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <brume/autograd/ops/resample.h>
#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/batch_norm.h>
#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/layers/layer_norm.h>
#include <brume/nn/module.h>

namespace brume::nn {

enum class PaddingMode { zeros, reflect, replicate, circular };
Names names_of(PaddingMode);

/// Keywords of the group norms.
struct GroupNormArguments {
  int64_t num_groups = 1;
  std::optional<int64_t> num_channels{};  // of the layer
  double eps = 1e-5;
  bool affine = true;
  template <class V>
  void fields(V& v) {
    v("num_groups", num_groups);
    v("num_channels", num_channels);
    v("eps", eps);
    v("affine", affine);
  }
};

enum class PoolingType { MaxPool3d, AvgPool3d };
Names names_of(PoolingType);

struct UNet3DConfig {
  int64_t in_channels = 0, out_channels = 0;
  int64_t kernel_size = 3, stride = 1;
  int64_t model_depth = 5;
  std::vector<int64_t> feature_map_channels = {64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024};
  int64_t num_conv_blocks = 2;  // per depth: 1 or 2
  std::string conv_activation = "relu";
  std::optional<std::string> conv_transpose_activation{};
  int64_t padding = 1;
  PaddingMode padding_mode = PaddingMode::zeros;
  PoolingType pooling_type = PoolingType::MaxPool3d;
  int64_t pool_size = 2;
  std::optional<std::string> normalization = "groupnorm";  // batchnorm, layernorm, none
  std::optional<GroupNormArguments> normalization_args{};
  bool use_attn_gate = false;
  std::optional<std::vector<int64_t>> attn_decoder_feature_maps{}, attn_feature_map_channels{};
  std::optional<int64_t> attn_intermediate_channels{};
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("kernel_size", kernel_size);
    v("stride", stride);
    v("model_depth", model_depth);
    v("feature_map_channels", feature_map_channels);
    v("num_conv_blocks", num_conv_blocks);
    v("conv_activation", conv_activation);
    v("conv_transpose_activation", conv_transpose_activation);
    v("padding", padding);
    v("padding_mode", padding_mode);
    v("pooling_type", pooling_type);
    v("pool_size", pool_size);
    v("normalization", normalization);
    v("normalization_args", normalization_args);
    v("use_attn_gate", use_attn_gate);
    v("attn_decoder_feature_maps", attn_decoder_feature_maps);
    v("attn_feature_map_channels", attn_feature_map_channels);
    v("attn_intermediate_channels", attn_intermediate_channels);
    v.ignored(ignored, {"gradient_checkpointing"});
  }
};

/// @shape  x [B, in_channels, D, H, W] -> [B, out_channels, D, H, W]; sizes are multiples of
///         pool_size^(model_depth - 1)
/// @source Ronneberger et al. 2015, arXiv:1505.04597; gates: Oktay et al. 2018, arXiv:1804.03999
class UNet3D : public Module {
 public:
  using Config = UNet3DConfig;
  explicit UNet3D(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  class ConvBlock;
  class Gate;
  struct Level {
    Ref<ConvTransposeNd> up;
    Ref<Gate> gate;
    std::vector<Ref<ConvBlock>> blocks;
  };
  void check_config() const;
  Ref<ConvBlock> conv_block(const std::string& name, int64_t in, int64_t out, bool plain = false);

  Config config_;
  Activation up_activation_ = nullptr;
  std::vector<std::vector<Ref<ConvBlock>>> encoder_;  // by depth
  std::vector<Level> decoder_;                        // from the deepest on
  Ref<ConvBlock> last_;
};

}  // namespace brume::nn
