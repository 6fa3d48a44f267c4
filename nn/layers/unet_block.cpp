#include <brume/nn/layers/unet_block.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

UNetBlockConfig of_volumes(UNetBlock3DConfig c) {
  c.act = names_of(c.activation)[static_cast<size_t>(c.activation)];
  if (!c.num_heads) c.num_heads = 1;
  return c;
}

}  // namespace

Names names_of(UNetActivation) {
  static constexpr const char* kNames[] = {"silu", "gelu"};
  return kNames;
}

Ref<GroupNorm> UNetBlock::norm(const char* name, int64_t channels, bool then_act) {
  const Config& k = config_;
  const auto act = then_act ? std::optional(k.act) : std::nullopt;
  if (axes_ == 3)
    return child<GroupNorm3D>(name, {.num_channels = channels, .eps = k.eps, .act = act});
  return child<GroupNorm>(
      name, {.num_channels = channels, .eps = k.eps, .use_apex_gn = k.use_apex_gn, .act = act});
}

Ref<ResamplingConv> UNetBlock::conv(const char* name, int64_t in, int64_t kernel, bool resample,
                                    const InitConfig& init) {
  const Config& k = config_;
  const Conv2dConfig c{.in_channels = in,
                       .out_channels = k.out_channels,
                       .kernel = kernel,
                       .up = resample && k.up,
                       .down = resample && k.down,
                       .resample_filter = k.resample_filter,
                       .init_mode = init.init_mode,
                       .init_weight = init.init_weight,
                       .init_bias = init.init_bias};
  if (axes_ == 3) return child<Conv3D>(name, c);
  return child<Conv2d>(name, c);
}

UNetBlock::UNetBlock(Config c, int axes)
    : config_(std::move(c)),
      axes_(axes),
      // Of images the scaled and shifted values go through SiLU, whatever `act` is.
      adaptive_act_(axes == 3 ? activation_by_name(config_.act) : silu) {
  const Config& k = config_;
  const int64_t in = k.in_channels, out = k.out_channels;
  check(k.dropout >= 0 && k.dropout < 1, "UNetBlock: dropout must be in [0, 1), got ", k.dropout);
  norm0_ = norm("norm0", in, true);
  conv0_ = conv("conv0", in, 3, true, k.init);
  affine_ = child<Linear>("affine", {.in_features = k.emb_channels,
                                     .out_features = k.adaptive_scale ? 2 * out : out,
                                     .init_mode = k.init.init_mode,
                                     .init_weight = k.init.init_weight,
                                     .init_bias = k.init.init_bias});
  norm1_ = norm("norm1", out, !k.adaptive_scale);
  conv1_ = conv("conv1", out, 3, false, k.init_zero);
  if (in != out || k.up || k.down)
    skip_ = conv("skip", in, k.resample_proj || in != out ? 1 : 0, true, k.init);
  if (k.attention) make_attention();
}

void UNetBlock::make_attention() {
  const Config& k = config_;
  check(k.num_heads || k.channels_per_head > 0,
        "UNetBlock: channels_per_head must be positive, got ", k.channels_per_head);
  const UNetAttentionConfig attention{
      .out_channels = k.out_channels,
      .num_heads = k.num_heads ? *k.num_heads : k.out_channels / k.channels_per_head,
      .eps = k.eps,
      .init_zero = k.init_zero,
      .init_attn = k.init_attn,
      .init = k.init,
      .use_apex_gn = k.use_apex_gn};
  if (axes_ == 3)
    attn_ = child<UNetAttention3D>("attn", attention);
  else
    attn_ = child<UNetAttention>("attn", attention);
}

Tensor UNetBlock::operator()(const Tensor& x, const Tensor& emb) const {
  const Tensor terms = as_dtype(affine_(emb), x);  // [B or 1, out or 2 out]
  Tensor h = norm0_(x);
  if (config_.adaptive_scale) {
    const std::vector<Tensor> both = chunk(terms, 2, 1);
    h = (*norm1_)(conv0_(h), {.scale = both[0], .shift = both[1], .act = adaptive_act_});
  } else {
    h = norm1_((*conv0_)(h, {.per_sample = terms}));
  }
  if (training() && config_.dropout > 0) h = dropout(h, config_.dropout, generator());
  h = (*conv1_)(h, {.residual = skip_ ? skip_(x) : x, .scale = config_.skip_scale});
  return attn_ ? attn_(h, config_.skip_scale) : h;
}

UNetBlock3D::UNetBlock3D(Config c) : UNetBlock(of_volumes(std::move(c)), 3) {}

LegacyKeys UNetBlock::legacy_keys() const {
  if (!attn_) return {};
  return {.renamed = {{"norm2.", "attn.norm."}, {"qkv.", "attn.qkv."}, {"proj.", "attn.proj."}}};
}

}  // namespace brume::nn
