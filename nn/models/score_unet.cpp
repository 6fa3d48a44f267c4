#include <brume/nn/models/score_unet.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <brume/autograd/checkpoint.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

constexpr double kSqrtHalf = std::numbers::sqrt2 / 2;
constexpr InitConfig kSongInit = {.init_mode = InitMode::xavier_uniform};
constexpr InitConfig kSongInitZero = {.init_mode = InitMode::xavier_uniform, .init_weight = 1e-5};
const InitConfig kInitAttention = {.init_mode = InitMode::xavier_uniform,
                                   .init_weight = std::sqrt(0.2)};

Tensor swap_halves(const Tensor& x) {
  const std::vector<Tensor> halves = chunk(x, 2, 1);
  return cat({halves[1], halves[0]}, 1);
}

}  // namespace

Names names_of(EmbeddingType) {
  static constexpr const char* kNames[] = {"positional", "fourier", "zero"};
  return kNames;
}
Names names_of(EncoderType) {
  static constexpr const char* kNames[] = {"standard", "skip", "residual"};
  return kNames;
}
Names names_of(DecoderType) {
  static constexpr const char* kNames[] = {"standard", "skip"};
  return kNames;
}

ScoreUNet::ScoreUNet(SongUNetConfig c, Plan plan) : config_(std::move(c)), plan_(std::move(plan)) {
  check_config();
  if (plan_.additive_embedding.rank() > 0) {
    // The reference draws normal values first and drops them.
    detail::initial_tensor(plan_.additive_embedding, Init::normal(1));
    spatial_emb_ = param("spatial_emb", plan_.additive_embedding, Init::truncated_normal(0.02));
  }
  make_embedding();
  make_decoder(make_encoder());
}

int64_t ScoreUNet::check_levels(const SongUNetConfig& c, const char* who) {
  const auto levels = static_cast<int64_t>(c.channel_mult.size());
  check(levels >= 1 && levels <= 20, who, ": the length of channel_mult must be from 1 to 20, got ",
        levels);
  return levels;
}

void ScoreUNet::check_config() const {
  const SongUNetConfig& c = config_;
  const auto in_range = [this](const char* name, int64_t value, int64_t low, int64_t high) {
    check_range(plan_.who, name, value, low, high);
  };
  constexpr int64_t kMax = 1 << 20, kMaxWidth = 1 << 24;  // products of three stay below 2^63
  check_levels(c, plan_.who);
  in_range("in_channels", c.in_channels, 1, kMax);
  in_range("out_channels", c.out_channels, 1, kMax);
  in_range("label_dim", c.label_dim, 0, kMax);
  in_range("augment_dim", c.augment_dim, 0, kMax);
  in_range("model_channels", c.model_channels, 1, kMax);
  for (const int64_t mult : c.channel_mult) in_range("channel_mult", mult, 1, kMax);
  in_range("channel_mult_emb", c.channel_mult_emb, 1, kMax);
  in_range("channel_mult_noise", c.channel_mult_noise, 1, kMax);
  in_range("the embedding's width", c.model_channels * c.channel_mult_emb, 1, kMaxWidth);
  in_range("the noise embedding's width", c.model_channels * c.channel_mult_noise, 2, kMaxWidth);
  in_range("num_blocks", c.num_blocks, 0, kMax);
  in_range("checkpoint_level", c.checkpoint_level, 0, kMax);
  check(c.label_dropout >= 0 && c.label_dropout <= 1, plan_.who,
        ": label_dropout must be in [0, 1], got ", c.label_dropout);
}

void ScoreUNet::make_embedding() {
  const SongUNetConfig& c = config_;
  const int64_t width = c.model_channels * c.channel_mult_emb;
  if (c.embedding_type == EmbeddingType::zero) {
    zero_emb_ = buffer(
        "zero_emb", {1, width},
        [width] {
          return zeros({1, width});
        },
        transient);
    return;
  }
  const int64_t noise = c.model_channels * c.channel_mult_noise;
  const auto map = [&](const char* name, int64_t in, int64_t out, bool bias = true) {
    return child<Linear>(
        name,
        {.in_features = in, .out_features = out, .bias = bias, .init_mode = kSongInit.init_mode});
  };
  if (c.embedding_type == EmbeddingType::positional)
    positional_ =
        child<PositionalEmbedding>("map_noise", {.num_channels = noise, .endpoint = true});
  else
    fourier_ = child<FourierEmbedding>("map_noise", {.num_channels = noise});
  if (c.label_dim > 0) map_label_ = map(plan_.map_label, c.label_dim, noise);
  if (c.augment_dim > 0) map_augment_ = map("map_augment", c.augment_dim, noise, false);
  map_layer0_ = map("map_layer0", noise, width);
  map_layer1_ = map("map_layer1", width, width);
}

std::string ScoreUNet::prefix(const char* half, int level) const {
  return cat(half, ".", plan_.levels[static_cast<size_t>(level)], "_");
}

ScoreUNet::Step ScoreUNet::block_step(const std::string& name, int level, int64_t in, int64_t out,
                                      UNetBlockConfig c) {
  c.in_channels = in;
  c.out_channels = out;
  c.emb_channels = config_.model_channels * config_.channel_mult_emb;
  c.num_heads = 1;
  c.dropout = config_.dropout;
  c.skip_scale = kSqrtHalf;
  c.eps = 1e-6;
  c.resample_filter = config_.resample_filter;
  c.resample_proj = true;
  c.adaptive_scale = false;
  c.init = kSongInit;
  c.init_zero = kSongInitZero;
  c.init_attn = kInitAttention;
  c.use_apex_gn = config_.use_apex_gn;
  c.act = config_.act;
  Step step{.role = Role::block, .level = level};
  if (plan_.axes == 3) {
    UNetBlock3DConfig volumes(std::move(c));
    volumes.activation = plan_.activation;
    step.block = child<UNetBlock3D>(name, std::move(volumes));
  } else {
    step.block = child<UNetBlock>(name, std::move(c));
  }
  return step;
}

Ref<ResamplingConv> ScoreUNet::conv_layer(const std::string& name, Conv2dConfig c) {
  c.resample_filter = config_.resample_filter;
  c.init_mode = kSongInit.init_mode;
  if (plan_.axes == 3) return child<Conv3D>(name, std::move(c));
  return child<Conv2d>(name, std::move(c));
}

Ref<GroupNorm> ScoreUNet::head_norm(const std::string& name, int64_t channels) {
  if (plan_.axes == 3)
    return child<GroupNorm3D>(name, {.num_channels = channels, .eps = 1e-6, .act = "silu"});
  return child<GroupNorm>(
      name,
      {.num_channels = channels, .eps = 1e-6, .use_apex_gn = config_.use_apex_gn, .act = "silu"});
}

std::vector<int64_t> ScoreUNet::make_encoder() {
  const SongUNetConfig& c = config_;
  std::vector<int64_t> skips;
  int64_t channels = c.in_channels, aux = c.in_channels;
  const auto add_block = [&](const std::string& name, int level, int64_t out, UNetBlockConfig b) {
    encoder_.push_back(block_step(name, level, channels, out, std::move(b)));
    channels = out;
    skips.push_back(out);
  };
  const auto add_conv = [&](Role role, const std::string& name, int level, Conv2dConfig conv) {
    encoder_.push_back({.role = role, .level = level, .conv = conv_layer(name, std::move(conv))});
  };
  for (int level = 0; level < static_cast<int>(c.channel_mult.size()); ++level) {
    const std::string at = prefix("enc", level);
    if (level == 0) {
      add_conv(Role::conv, at + "conv", level,
               {.in_channels = channels, .out_channels = c.model_channels, .kernel = 3});
      channels = c.model_channels;
      skips.push_back(channels);
    } else {
      add_block(at + "down", level, channels, {.down = true});
      if (c.encoder_type == EncoderType::skip) {
        add_conv(Role::aux_filter, at + "aux_down", level,
                 {.in_channels = aux, .out_channels = aux, .kernel = 0, .down = true});
        add_conv(Role::aux_skip, at + "aux_skip", level,
                 {.in_channels = aux, .out_channels = channels, .kernel = 1});
      } else if (c.encoder_type == EncoderType::residual) {
        add_conv(Role::aux_residual, at + "aux_residual", level,
                 {.in_channels = aux,
                  .out_channels = channels,
                  .kernel = 3,
                  .down = true,
                  .fused_resample = true});
        aux = channels;
      }
    }
    const int64_t out = c.model_channels * c.channel_mult[static_cast<size_t>(level)];
    for (int64_t i = 0; i < c.num_blocks; ++i)
      add_block(cat(at, "block", i), level, out,
                {.attention = plan_.attends[static_cast<size_t>(level)]});
  }
  return skips;
}

void ScoreUNet::make_decoder(std::vector<int64_t> skips) {
  const SongUNetConfig& c = config_;
  const int last = static_cast<int>(c.channel_mult.size()) - 1;
  int64_t channels = skips.back();
  for (int level = last; level >= 0; --level) {
    const std::string at = prefix("dec", level);
    const int64_t out = c.model_channels * c.channel_mult[static_cast<size_t>(level)];
    if (level == last) {
      decoder_.push_back(
          block_step(at + "in0", level, channels, channels, {.attention = c.bottleneck_attention}));
      decoder_.push_back(block_step(at + "in1", level, channels, channels, {}));
    } else {
      decoder_.push_back(block_step(at + "up", level, channels, channels, {.up = true}));
    }
    for (int64_t i = 0; i <= c.num_blocks; ++i) {
      const bool attention = i == c.num_blocks && plan_.attends[static_cast<size_t>(level)];
      decoder_.push_back(block_step(cat(at, "block", i), level, channels + skips.back(), out,
                                    {.attention = attention}));
      decoder_.back().takes_skip = true;
      skips.pop_back();
      channels = out;
    }
    if (c.decoder_type == DecoderType::standard && level > 0) continue;
    if (c.decoder_type == DecoderType::skip && level < last)
      decoder_.push_back({.role = Role::aux_filter,
                          .level = level,
                          .conv = conv_layer(at + "aux_up", {.in_channels = c.out_channels,
                                                             .out_channels = c.out_channels,
                                                             .kernel = 0,
                                                             .up = true})});
    Step head{.role = Role::head, .level = level};
    head.norm = head_norm(at + "aux_norm", channels);
    head.conv = conv_layer(at + "aux_conv", {.in_channels = channels,
                                             .out_channels = c.out_channels,
                                             .kernel = 3,
                                             .init_weight = kSongInitZero.init_weight});
    decoder_.push_back(std::move(head));
  }
}

void ScoreUNet::check_image(const Tensor& x, int64_t channels) const {
  check<Error>(x.defined(), plan_.who, ": x is an empty handle");
  const char* sizes = plan_.axes == 2 ? ", H, W]" : ", D, H, W]";
  check(x.rank() == 2 + plan_.axes && x.size(1) == channels, plan_.who, ": x must be [B, ",
        channels, sizes, ", but is ", x.shape());
  const int64_t levels = static_cast<int64_t>(config_.channel_mult.size());
  const int64_t unit = int64_t{1} << (levels - 1);
  bool fits = true;
  for (int a = 2; a < x.rank(); ++a) fits &= x.size(a) > 0 && x.size(a) % unit == 0;
  check(fits, plan_.who, ": ", plan_.axes == 2 ? "height" : "depth, height", " and width must be ",
        "multiples of ", unit, " (", levels, " levels), but x is ", x.shape());
}

Tensor ScoreUNet::predict(const Tensor& x, const Tensor& noise, const Tensor& classes,
                          const Tensor& augment) const {
  const Tensor emb = embed(noise, classes, augment);
  std::vector<Tensor> skips;
  Tensor deepest = encode(x, emb, skips);
  return decode(std::move(deepest), emb, std::move(skips));
}

Tensor ScoreUNet::embed(const Tensor& noise, const Tensor& classes, const Tensor& augment) const {
  if (zero_emb_.defined()) return zero_emb_;
  // The halves are swapped: the networks were trained with sines in front.
  Tensor n = swap_halves(positional_ ? positional_(noise) : fourier_(noise));
  if (map_label_ && classes.defined()) {
    Tensor labels = as_dtype(classes, n);
    if (training()) labels = drop_rows(labels, config_.label_dropout, generator());
    n = n + map_label_(labels * std::sqrt(static_cast<double>(config_.label_dim)));
  }
  if (map_augment_ && augment.defined()) n = n + map_augment_(as_dtype(augment, n));
  return silu(map_layer1_(silu(map_layer0_(n))));  // [B or 1, model_channels * channel_mult_emb]
}

Tensor ScoreUNet::run_block(const Step& step, const Tensor& x, const Tensor& emb) const {
  if (step.level >= config_.checkpoint_level) return step.block(x, emb);
  const Ref<UNetBlock> block = step.block;
  std::function<Generator&()> rng;
  if (training()) rng = [block]() -> Generator& { return block->generator(); };
  return checkpoint([block](const Tensors& in) { return block(in[0], in[1]); }, {x, emb}, rng);
}

Tensor ScoreUNet::encode(const Tensor& input, const Tensor& emb, std::vector<Tensor>& skips) const {
  Tensor x = input, aux = input;
  for (const Step& step : encoder_) {
    switch (step.role) {
      case Role::conv:
        x = step.conv(x);
        if (spatial_emb_.defined()) x = x + as_dtype(spatial_emb_, x);
        skips.push_back(x);
        break;
      case Role::block:
        x = run_block(step, x, emb);
        skips.push_back(x);
        break;
      case Role::aux_filter:
        aux = step.conv(aux);
        break;
      case Role::aux_skip:
        x = skips.back() = (*step.conv)(aux, {.residual = x});
        break;
      case Role::aux_residual:
        x = skips.back() = aux = (*step.conv)(aux, {.residual = x, .scale = kSqrtHalf});
        break;
      case Role::head:
        break;
    }
  }
  return x;
}

Tensor ScoreUNet::decode(Tensor x, const Tensor& emb, std::vector<Tensor> skips) const {
  Tensor out;
  for (const Step& step : decoder_) {
    switch (step.role) {
      case Role::aux_filter:
        out = step.conv(out);
        break;
      case Role::head:
        out = (*step.conv)(step.norm(x), {.residual = out});
        break;
      default:
        if (step.takes_skip) {
          x = cat({x, skips.back()}, 1);
          skips.pop_back();
        }
        x = run_block(step, x, emb);
    }
  }
  return out;
}

}  // namespace brume::nn
