#include <brume/nn/layers/unet_block.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

UNetBlock::UNetBlock(Config c) : config_(std::move(c)) {
  const Config& k = config_;
  const int64_t in = k.in_channels, out = k.out_channels;
  check(k.dropout >= 0 && k.dropout < 1, "UNetBlock: dropout must be in [0, 1), got ", k.dropout);
  const auto norm = [&](const char* name, int64_t channels, std::optional<std::string> act) {
    return child<GroupNorm>(name, {.num_channels = channels,
                                   .eps = k.eps,
                                   .use_apex_gn = k.use_apex_gn,
                                   .act = std::move(act)});
  };
  const auto conv = [&](const char* name, int64_t from, int64_t kernel, bool resample,
                        const InitConfig& init) {
    return child<Conv2d>(name, {.in_channels = from,
                                .out_channels = out,
                                .kernel = kernel,
                                .up = resample && k.up,
                                .down = resample && k.down,
                                .resample_filter = k.resample_filter,
                                .init_mode = init.init_mode,
                                .init_weight = init.init_weight,
                                .init_bias = init.init_bias});
  };
  norm0_ = norm("norm0", in, k.act);
  conv0_ = conv("conv0", in, 3, true, k.init);
  affine_ = child<Linear>("affine", {.in_features = k.emb_channels,
                                     .out_features = k.adaptive_scale ? 2 * out : out,
                                     .init_mode = k.init.init_mode,
                                     .init_weight = k.init.init_weight,
                                     .init_bias = k.init.init_bias});
  norm1_ = norm("norm1", out, k.adaptive_scale ? std::nullopt : std::optional(k.act));
  conv1_ = conv("conv1", out, 3, false, k.init_zero);
  if (in != out || k.up || k.down)
    skip_ = conv("skip", in, k.resample_proj || in != out ? 1 : 0, true, k.init);
  if (k.attention) {
    check(k.num_heads || k.channels_per_head > 0,
          "UNetBlock: channels_per_head must be positive, got ", k.channels_per_head);
    attn_ =
        child<UNetAttention>("attn", {.out_channels = out,
                                      .num_heads = k.num_heads.value_or(out / k.channels_per_head),
                                      .eps = k.eps,
                                      .init_zero = k.init_zero,
                                      .init_attn = k.init_attn,
                                      .init = k.init,
                                      .use_apex_gn = k.use_apex_gn});
  }
}

Tensor UNetBlock::operator()(const Tensor& x, const Tensor& emb) const {
  const Tensor terms = as_dtype(affine_(emb), x);  // [B or 1, out or 2 out]
  Tensor h = norm0_(x);
  if (config_.adaptive_scale) {
    const std::vector<Tensor> both = chunk(terms, 2, 1);
    h = (*norm1_)(conv0_(h), {.scale = both[0], .shift = both[1], .act = silu});
  } else {
    h = norm1_((*conv0_)(h, {.per_sample = terms}));
  }
  if (training() && config_.dropout > 0) h = dropout(h, config_.dropout, generator());
  h = (*conv1_)(h, {.residual = skip_ ? skip_(x) : x, .scale = config_.skip_scale});
  return attn_ ? attn_(h, config_.skip_scale) : h;
}

LegacyKeys UNetBlock::legacy_keys() const {
  if (!attn_) return {};
  return {.renamed = {{"norm2.", "attn.norm."}, {"qkv.", "attn.qkv."}, {"proj.", "attn.proj."}}};
}

}  // namespace brume::nn
