#include <brume/nn/models/unet3d.h>

#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// The functional form of an activation, whose leaky_relu has another slope than the named one.
Activation functional(const std::string& name) {
  if (name == "leaky_relu") return [](Tensor x) { return leaky_relu(std::move(x), 0.01); };
  return activation_by_name(name);
}

// The norm over the channels of each voxel.
Tensor over_channels(const LayerNorm& norm, const Tensor& x) {
  return permute(norm(permute(x, {0, 2, 3, 4, 1})), {0, 4, 1, 2, 3});
}

PadMode pad_mode(PaddingMode mode) {
  switch (mode) {
    case PaddingMode::zeros:
      return PadMode::constant;
    case PaddingMode::reflect:
      return PadMode::reflect;
    case PaddingMode::replicate:
      return PadMode::replicate;
    case PaddingMode::circular:
      return PadMode::circular;
  }
  return PadMode::constant;
}

struct ConvBlockConfig {
  ConvNdConfig conv{};
  std::optional<std::string> normalization{};
  GroupNormArguments group_norm{};
  Activation activation = nullptr;
};
struct GateConfig {
  int64_t decoder_channels = 0, skip_channels = 0, channels = 0;
};

}  // namespace

Names names_of(PaddingMode) {
  static constexpr const char* kNames[] = {"zeros", "reflect", "replicate", "circular"};
  return kNames;
}
Names names_of(PoolingType) {
  static constexpr const char* kNames[] = {"MaxPool3d", "AvgPool3d"};
  return kNames;
}

class UNet3D::ConvBlock : public Module {
 public:
  using Config = ConvBlockConfig;
  explicit ConvBlock(const Config& c) : activation_(c.activation) {
    const int64_t out = c.conv.out_channels;
    conv3d_ = child<ConvNd>("conv3d", c.conv);
    if (c.normalization == "groupnorm") {
      groups_ = c.group_norm.num_groups;
      eps_ = c.group_norm.eps;
      check(groups_ > 0 && out % groups_ == 0 && c.group_norm.num_channels.value_or(out) == out,
            "UNet3D: normalization_args do not suit a layer of ", out, " channels");
      if (c.group_norm.affine) {
        weight_ = param("norm.weight", {out}, Init::constant(1));
        bias_ = param("norm.bias", {out}, Init::constant(0));
      }
    } else if (c.normalization == "layernorm") {
      layer_norm_ = child<LayerNorm>("norm", {.width = out});
    } else if (c.normalization == "batchnorm") {
      batch_norm_ = child<BatchNorm>("norm", {.num_features = out});
    }
  }
  Tensor operator()(const Tensor& x) const {
    Tensor y = conv3d_(x);
    if (groups_ > 0)
      y = group_norm(y, as_dtype(weight_, y), as_dtype(bias_, y), groups_, {.eps = eps_});
    if (layer_norm_) y = over_channels(*layer_norm_, y);
    if (batch_norm_) y = batch_norm_(y);
    return activation_ ? activation_(std::move(y)) : y;
  }

 private:
  Activation activation_;
  Ref<ConvNd> conv3d_;
  int64_t groups_ = 0;  // 0: no group norm
  double eps_ = 0;
  Tensor weight_, bias_;
  Ref<LayerNorm> layer_norm_;
  Ref<BatchNorm> batch_norm_;
};

// What of a skip passes. As in the reference the last norm is over one channel, so that the gate
// is the same number everywhere.
class UNet3D::Gate : public Module {
 public:
  using Config = GateConfig;
  explicit Gate(const Config& c)
      : g_(child<ConvNd>("W_g.0", point(c.decoder_channels, c.channels))),
        g_norm_(child<LayerNorm>("W_g.1", {.width = c.channels})),
        x_(child<ConvNd>("W_x.0", point(c.skip_channels, c.channels))),
        x_norm_(child<LayerNorm>("W_x.1", {.width = c.channels})),
        psi_(child<ConvNd>("psi.0", point(c.channels, 1))),
        psi_norm_(child<LayerNorm>("psi.1", {.width = 1})) {}
  Tensor operator()(const Tensor& decoder, const Tensor& skip) const {
    const Tensor both =
        relu(over_channels(*g_norm_, g_(decoder)) + over_channels(*x_norm_, x_(skip)));
    return skip * sigmoid(over_channels(*psi_norm_, psi_(both)));
  }

 private:
  static ConvNdConfig point(int64_t in, int64_t out) {
    return {.dimension = 3, .in_channels = in, .out_channels = out};
  }
  Ref<ConvNd> g_;
  Ref<LayerNorm> g_norm_;
  Ref<ConvNd> x_;
  Ref<LayerNorm> x_norm_;
  Ref<ConvNd> psi_;
  Ref<LayerNorm> psi_norm_;
};

void UNet3D::check_config() const {
  const Config& c = config_;
  check(c.num_conv_blocks == 1 || c.num_conv_blocks == 2,
        "UNet3D: num_conv_blocks must be 1 or 2, got ", c.num_conv_blocks);
  check(c.model_depth >= 1 && static_cast<int64_t>(c.feature_map_channels.size()) ==
                                  c.model_depth * c.num_conv_blocks,
        "UNet3D: feature_map_channels must hold model_depth * num_conv_blocks numbers, got ",
        c.feature_map_channels.size());
  check(c.pool_size >= 1, "UNet3D: pool_size must be positive, got ", c.pool_size);
  check(!c.normalization || c.normalization == "groupnorm" || c.normalization == "layernorm" ||
            c.normalization == "batchnorm",
        "UNet3D: normalization must be groupnorm, layernorm or batchnorm, got ",
        c.normalization.value_or("none"));
  if (!c.use_attn_gate) return;
  const auto gates = static_cast<size_t>(c.model_depth - 1);
  check(c.attn_decoder_feature_maps && c.attn_feature_map_channels &&
            c.attn_intermediate_channels && c.attn_decoder_feature_maps->size() == gates &&
            c.attn_feature_map_channels->size() == gates,
        "UNet3D: use_attn_gate needs ", gates,
        " attn_decoder_feature_maps and attn_feature_map_channels, and attn_intermediate_channels");
}

Ref<UNet3D::ConvBlock> UNet3D::conv_block(const std::string& name, int64_t in, int64_t out,
                                          bool plain) {
  const Config& c = config_;
  const ConvNdConfig conv{.dimension = 3,
                          .in_channels = in,
                          .out_channels = out,
                          .kernel = c.kernel_size,
                          .stride = c.stride,
                          .padding = c.padding,
                          .padding_mode = pad_mode(c.padding_mode)};
  if (plain) return child<ConvBlock>(name, {.conv = conv});
  return child<ConvBlock>(name, {.conv = conv,
                                 .normalization = c.normalization,
                                 .group_norm = c.normalization_args.value_or(GroupNormArguments{}),
                                 .activation = functional(c.conv_activation)});
}

UNet3D::UNet3D(const Config& c) : config_(c) {
  check_config();
  if (c.conv_transpose_activation) up_activation_ = functional(*c.conv_transpose_activation);
  int64_t channels = c.in_channels;
  int place = 0;
  std::vector<int64_t> skips;
  size_t next = 0;  // of feature_map_channels
  for (int64_t depth = 0; depth < c.model_depth; ++depth) {
    encoder_.emplace_back();
    for (int64_t i = 0; i < c.num_conv_blocks; ++i) {
      const int64_t out = c.feature_map_channels[next++];
      encoder_.back().push_back(conv_block(cat("encoder.layers.", place++), channels, out));
      channels = out;
    }
    if (depth + 1 == c.model_depth) break;
    skips.push_back(channels);
    ++place;  // the pool
  }
  place = 0;
  for (size_t level = skips.size(); level-- > 0;) {
    decoder_.emplace_back();
    decoder_.back().up = child<ConvTransposeNd>(
        cat("decoder.layers.", place++, ".conv3d_transpose"), {.dimension = 3,
                                                               .in_channels = channels,
                                                               .out_channels = channels,
                                                               .kernel = 3,
                                                               .stride = 2,
                                                               .padding = 1,
                                                               .output_padding = 1});
    for (int64_t i = 0; i < c.num_conv_blocks; ++i) {
      const size_t mirror = level * static_cast<size_t>(c.num_conv_blocks) +
                            static_cast<size_t>(c.num_conv_blocks - 1 - i);
      const int64_t out = c.feature_map_channels[mirror];
      decoder_.back().blocks.push_back(conv_block(
          cat("decoder.layers.", place++), i == 0 ? channels + skips[level] : channels, out));
      channels = out;
    }
  }
  last_ = conv_block(cat("decoder.layers.", place), channels, c.out_channels, true);
  if (!c.use_attn_gate) return;
  for (size_t i = 0; i < decoder_.size(); ++i)
    decoder_[i].gate = child<Gate>(cat("attention_blocks.", i),
                                   {.decoder_channels = (*c.attn_decoder_feature_maps)[i],
                                    .skip_channels = (*c.attn_feature_map_channels)[i],
                                    .channels = *c.attn_intermediate_channels});
}

Tensor UNet3D::operator()(const Tensor& x) const {
  const Config& c = config_;
  check(x.rank() == 5 && x.size(1) == c.in_channels, "UNet3D: wants [B, ", c.in_channels,
        ", D, H, W], got ", x.shape());
  const PoolOptions window{.kernel = {c.pool_size, c.pool_size, c.pool_size}};
  std::vector<Tensor> skips;
  Tensor h = x;
  for (size_t depth = 0; depth < encoder_.size(); ++depth) {
    for (const Ref<ConvBlock>& block : encoder_[depth]) h = block(h);
    if (depth + 1 == encoder_.size()) break;
    skips.push_back(h);
    h = c.pooling_type == PoolingType::MaxPool3d ? max_pool(h, window) : avg_pool(h, window);
  }
  for (const Level& level : decoder_) {
    h = level.up(h);
    if (up_activation_) h = up_activation_(std::move(h));
    const Tensor& skip = skips.back();
    h = cat({h, level.gate ? level.gate(h, skip) : skip}, 1);
    skips.pop_back();
    for (const Ref<ConvBlock>& block : level.blocks) h = block(h);
  }
  return last_(h);
}

}  // namespace brume::nn
