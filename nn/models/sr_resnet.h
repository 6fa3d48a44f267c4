#pragma once
// SRResNet: super-resolution of volumes.

#include <string>
#include <vector>

#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/batch_norm.h>
#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct SRResNetConfig {
  int64_t in_channels = 0, out_channels = 0;
  int64_t large_kernel_size = 7, small_kernel_size = 3;
  int64_t conv_layer_size = 32;
  int64_t n_resid_blocks = 8;
  int64_t scaling_factor = 8;  // 2, 4 or 8
  std::string activation_fn = "prelu";

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("large_kernel_size", large_kernel_size);
    v("small_kernel_size", small_kernel_size);
    v("conv_layer_size", conv_layer_size);
    v("n_resid_blocks", n_resid_blocks);
    v("scaling_factor", scaling_factor);
    v("activation_fn", activation_fn);
  }
};

/// Residual blocks, then for each factor of 2 a convolution whose channels become places. All
/// activations but those of these last steps share their parameter.
/// @shape  x [B, in_channels, D, H, W] -> [B, out_channels, f D, f H, f W], f the scaling_factor
/// @source Ledig et al. 2017, arXiv:1609.04802
class SRResNet : public Module {
 public:
  using Config = SRResNetConfig;
  explicit SRResNet(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  /// A convolution that keeps the size, and what stands behind it.
  struct Block {
    Ref<ConvNd> conv;
    Ref<BatchNorm> norm{};
    Ref<NamedActivation> activation{};
    Tensor operator()(const Tensor& x) const;
  };
  struct ResidualBlock {
    Block first, second;
  };
  struct UpBlock {
    Ref<ConvNd> conv;
    Ref<NamedActivation> prelu;
  };
  enum class Behind { nothing, activation, norm, norm_and_activation };
  Block block(const std::string& name, int64_t in, int64_t out, int64_t kernel, Behind behind);

  int64_t in_channels_;
  Ref<NamedActivation> activation_;
  Block conv_block1_, conv_block2_, conv_block3_;
  std::vector<ResidualBlock> residual_blocks_;
  std::vector<UpBlock> up_blocks_;
};

}  // namespace brume::nn
