#include <brume/nn/models/afno.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

PatchGrid grid_of(const AFNOConfig& c) {
  check(c.inp_shape.size() == 2 && c.patch_size.size() == 2,
        "AFNO: inp_shape and patch_size must hold 2 sizes each, got ", c.inp_shape.size(), " and ",
        c.patch_size.size());
  return PatchGrid(c.inp_shape, c.patch_size, "AFNO", "inp_shape");
}

Tensor dropped(const Tensor& x, double p, const Module& module) {
  return module.training() && p > 0 ? dropout(x, p, module.generator()) : x;
}

struct TokenMlpConfig {
  int64_t width = 0, hidden = 0;
  double drop_rate = 0;
  const AFNOModulation* modulation = nullptr;  // with mlp set, or null
};

// fc2(gelu(fc1(x) * scale + shift)), the scale and shift from a vector, if there is one.
class TokenMlp : public Module {
 public:
  using Config = TokenMlpConfig;
  explicit TokenMlp(const Config& c) : drop_rate_(c.drop_rate) {
    fc1_ = child<Linear>("fc1", LinearConfig::torch_default(c.width, c.hidden));
    fc2_ = child<Linear>("fc2", LinearConfig::torch_default(c.hidden, c.width));
    if (c.modulation)
      scale_shift_ = child<ScaleShiftMlp>(
          "scale_shift", {.in_features = c.modulation->mod_dim, .out_features = c.hidden});
  }
  // x [B, h, w, width], mod [B, mod_dim]
  Tensor operator()(const Tensor& x, const Tensor& mod) const {
    Tensor y = fc1_(x);
    if (scale_shift_) {
      const auto [scale, shift] = scale_shift_(mod);
      const Shape shape{x.size(0), 1, 1, y.size(3)};
      y = y * reshape(scale, shape) + reshape(shift, shape);
    }
    y = fc2_(dropped(gelu(y), drop_rate_, *this));
    return dropped(y, drop_rate_, *this);
  }

 private:
  double drop_rate_;
  Ref<Linear> fc1_, fc2_;
  Ref<ScaleShiftMlp> scale_shift_;
};

struct BlockConfig {
  AFNOConfig model{};
  AFNOModulation modulation{};
};

}  // namespace

class AFNOBody::Block : public Module {
 public:
  using Config = BlockConfig;
  explicit Block(const Config& c) {
    const AFNOConfig& k = c.model;
    const AFNO2DLayerConfig filter{.hidden_size = k.embed_dim,
                                   .num_blocks = k.num_blocks,
                                   .sparsity_threshold = k.sparsity_threshold,
                                   .hard_thresholding_fraction = k.hard_thresholding_fraction};
    const auto hidden = static_cast<int64_t>(static_cast<double>(k.embed_dim) * k.mlp_ratio);
    norm1_ = child<LayerNorm>("norm1", {k.embed_dim, 1e-6});
    if (c.modulation.filter)
      modulated_ = child<ModAFNO2DLayer>("filter", {.layer = filter,
                                                    .mod_features = c.modulation.mod_dim,
                                                    .scale_shift_mode = c.modulation.mode});
    else
      plain_ = child<AFNO2DLayer>("filter", filter);
    norm2_ = child<LayerNorm>("norm2", {k.embed_dim, 1e-6});
    mlp_ = child<TokenMlp>("mlp", {.width = k.embed_dim,
                                   .hidden = hidden,
                                   .drop_rate = k.drop_rate,
                                   .modulation = c.modulation.mlp ? &c.modulation : nullptr});
  }
  Tensor operator()(const Tensor& x, const Tensor& mod) const {
    const Tensor u = norm1_(x);
    const Tensor y = (modulated_ ? modulated_(u, mod) : plain_(u)) + x;
    return mlp_(norm2_(y), mod) + y;
  }

 private:
  Ref<LayerNorm> norm1_, norm2_;
  Ref<AFNO2DLayer> plain_;
  Ref<ModAFNO2DLayer> modulated_;
  Ref<TokenMlp> mlp_;
};

AFNOBody::AFNOBody(const AFNOConfig& c)
    : grid_(grid_of(c)), out_channels_(c.out_channels), drop_rate_(c.drop_rate) {
  check(c.depth >= 0 && c.out_channels > 0 && c.embed_dim > 0,
        "AFNO: out_channels and embed_dim must be positive, got ", c.out_channels, " and ",
        c.embed_dim);
  check(drop_rate_ >= 0 && drop_rate_ < 1, "AFNO: drop_rate must be in [0, 1), got ", drop_rate_);
  pos_embed_ = param("pos_embed", {1, grid_.count(), c.embed_dim}, Init::constant(0));
  patch_embed_ = child<PatchEmbed>(
      "patch_embed", {.grid = grid_, .in_channels = c.in_channels, .width = c.embed_dim});
}

void AFNOBody::make_blocks(const AFNOConfig& c, const AFNOModulation& modulation) {
  for (int64_t i = 0; i < c.depth; ++i)
    blocks_.push_back(child<Block>(cat("blocks.", i), {.model = c, .modulation = modulation}));
  head_ = child<Linear>(
      "head", LinearConfig::torch_default(c.embed_dim, grid_.patch_area() * out_channels_, false));
  detail::redraw(pos_embed_, Init::truncated_normal(0.02));
  for (const Named& m : modules()) {
    const auto* layer = dynamic_cast<const Linear*>(m.module);
    if (!layer) continue;
    detail::redraw(layer->weight, Init::truncated_normal(0.02));
    if (layer->bias.defined()) detail::redraw(layer->bias, Init::constant(0));
  }
}

Tensor AFNOBody::run(const Tensor& x, const Tensor& added, const Tensor& mod) const {
  Tensor y = patch_embed_(x);
  y = dropped(y + as_dtype(pos_embed_, y), drop_rate_, *this);
  if (added.defined()) y = y + unsqueeze(added, 1);
  y = reshape(y, {x.size(0), grid_.tokens[0], grid_.tokens[1], y.size(2)});
  for (const Ref<Block>& block : blocks_) y = block(y, mod);
  return image_of_patches(reshape(head_(y), {x.size(0), grid_.count(), -1}), grid_, out_channels_);
}

Names names_of(ModEmbedMethod) {
  static constexpr const char* kNames[] = {"sinusoidal", "onehot"};
  return kNames;
}

ModEmbedNet::ModEmbedNet(const Config& c) : max_time_(c.max_time) {
  if (c.method == ModEmbedMethod::sinusoidal)
    sinusoid_embed_ = child<SinusoidalTimestepEmbedding>("sinusoid_embed", {.num_channels = c.dim});
  else
    onehot_embed_ = child<OneHotEmbedding>("onehot_embed", {.num_channels = c.dim});
  for (int64_t i = 0; i < c.depth; ++i)
    mlp_.push_back(child<Linear>(cat("mlp.", 2 * i), LinearConfig::torch_default(c.dim, c.dim)));
}

Tensor ModEmbedNet::operator()(const Tensor& t) const {
  const Tensor time = t / max_time_;
  Tensor e = sinusoid_embed_ ? sinusoid_embed_(time) : onehot_embed_(time);
  for (const Ref<Linear>& layer : mlp_) e = gelu(layer(e));
  return e;
}

ModAFNO::ModAFNO(const Config& c) : AFNOBody(c) {
  const AFNOModulation modulation{.filter = c.modulate_filter,
                                  .mlp = c.modulate_mlp,
                                  .mod_dim = c.mod_dim,
                                  .mode = c.scale_shift_mode};
  make_blocks(c, modulation);
  mod_additive_proj_ =
      child<Linear>("mod_additive_proj", LinearConfig::torch_default(c.mod_dim, c.embed_dim));
  if (modulation.any()) {
    const ModEmbedNetConfig embed = c.embed_model.value_or(ModEmbedNetConfig());
    check(embed.dim == c.mod_dim, "ModAFNO: embed_model has dim ", embed.dim, ", but mod_dim is ",
          c.mod_dim);
    mod_embed_net_ = child<ModEmbedNet>("mod_embed_net", embed);
  }
}

Tensor ModAFNO::operator()(const Tensor& x, const Tensor& mod) const {
  if (!mod_embed_net_) {
    const int64_t width = mod_additive_proj_->weight.size(1);
    check(mod.shape() == Shape{x.size(0), width}, "ModAFNO: without modulation mod must be [",
          x.size(0), ", ", width, "], but is ", mod.shape());
    return run(x, mod_additive_proj_(mod), mod);
  }
  check(mod.numel() == x.size(0), "ModAFNO: mod must be [", x.size(0), "] or [", x.size(0),
        ", 1], but is ", mod.shape());
  const Tensor m = mod_embed_net_(mod);
  return run(x, mod_additive_proj_(m), m);
}

}  // namespace brume::nn
