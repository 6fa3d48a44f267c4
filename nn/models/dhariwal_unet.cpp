#include <brume/nn/models/dhariwal_unet.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

const double kSqrtThird = std::sqrt(1.0 / 3);
const InitConfig kDhariwalInit = {InitMode::kaiming_uniform, kSqrtThird, kSqrtThird};
constexpr InitConfig kDhariwalInitZero = {InitMode::kaiming_uniform, 0, 0};

bool contains(const std::vector<int64_t>& list, int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

DhariwalUNet::DhariwalUNet(Config c) : config_(std::move(c)) {
  const Config& k = config_;
  height_ = k.img_resolution.expand(2, "DhariwalUNet: img_resolution")[0];
  const auto levels = static_cast<int64_t>(k.channel_mult.size());
  constexpr int64_t kMax = 1 << 20;
  check(levels >= 1 && levels <= 20 && height_ >= int64_t{1} << (levels - 1),
        "DhariwalUNet: wants 1 to 20 levels, and img_resolution at least 2^(levels - 1), got ",
        levels, " levels and ", height_);
  for (const int64_t value : {k.in_channels, k.out_channels, k.model_channels, k.channel_mult_emb,
                              *std::min_element(k.channel_mult.begin(), k.channel_mult.end())})
    check(value >= 1 && value <= kMax,
          "DhariwalUNet: channels and their factors must be positive, got ", value);
  for (const int64_t mult : k.channel_mult)
    check(mult <= kMax && mult * k.model_channels <= kMax, "DhariwalUNet: too many channels");
  check(k.num_blocks >= 0 && k.label_dim >= 0 && k.augment_dim >= 0,
        "DhariwalUNet: num_blocks, label_dim and augment_dim must not be negative");
  make_embedding();
  make_encoder();
  make_decoder();
}

void DhariwalUNet::make_embedding() {
  const Config& k = config_;
  const int64_t noise = k.model_channels, width = noise * k.channel_mult_emb;
  const auto map = [&](const char* name, int64_t in, const InitConfig& init) {
    return child<Linear>(name, {in, width, true, init.init_mode, init.init_weight, init.init_bias});
  };
  map_noise_ = child<PositionalEmbedding>("map_noise", {.num_channels = noise});
  if (k.augment_dim > 0)
    map_augment_ = child<Linear>("map_augment",
                                 {k.augment_dim, noise, false, kDhariwalInitZero.init_mode, 0, 0});
  map_layer0_ = map("map_layer0", noise, kDhariwalInit);
  map_layer1_ = map("map_layer1", width, kDhariwalInit);
  if (k.label_dim > 0)
    map_label_ =
        child<Linear>("map_label", {.in_features = k.label_dim,
                                    .out_features = width,
                                    .bias = false,
                                    .init_weight = std::sqrt(static_cast<double>(k.label_dim))});
}

// The next block behind channels_.
Ref<UNetBlock> DhariwalUNet::block(const std::string& name, int64_t out, bool attention,
                                   UNetBlockConfig c) {
  c.in_channels = c.in_channels + channels_;
  c.out_channels = out;
  c.emb_channels = config_.model_channels * config_.channel_mult_emb;
  c.attention = attention;
  c.dropout = config_.dropout;
  c.init = kDhariwalInit;
  c.init_zero = kDhariwalInitZero;
  channels_ = out;
  return child<UNetBlock>(name, std::move(c));
}

void DhariwalUNet::make_encoder() {
  const Config& k = config_;
  for (size_t level = 0; level < k.channel_mult.size(); ++level) {
    const int64_t resolution = height_ >> level, out = k.model_channels * k.channel_mult[level];
    const std::string at = cat("enc.", resolution, "x", resolution, "_");
    if (level == 0) {
      first_ = child<Conv2d>(at + "conv", {.in_channels = k.in_channels,
                                           .out_channels = out,
                                           .kernel = 3,
                                           .init_mode = kDhariwalInit.init_mode,
                                           .init_weight = kDhariwalInit.init_weight,
                                           .init_bias = kDhariwalInit.init_bias});
      channels_ = out;
    } else {
      encoder_.push_back(block(at + "down", channels_, false, {.down = true}));
    }
    skips_.push_back(channels_);
    for (int64_t i = 0; i < k.num_blocks; ++i) {
      encoder_.push_back(block(cat(at, "block", i), out, contains(k.attn_resolutions, resolution)));
      skips_.push_back(out);
    }
  }
}

void DhariwalUNet::make_decoder() {
  const Config& k = config_;
  const size_t levels = k.channel_mult.size();
  for (size_t level = levels; level-- > 0;) {
    const int64_t resolution = height_ >> level, out = k.model_channels * k.channel_mult[level];
    const std::string at = cat("dec.", resolution, "x", resolution, "_");
    if (level == levels - 1) {
      decoder_.push_back({block(at + "in0", channels_, true), false});
      decoder_.push_back({block(at + "in1", channels_, false), false});
    } else {
      decoder_.push_back({block(at + "up", channels_, false, {.up = true}), false});
    }
    for (int64_t i = 0; i <= k.num_blocks; ++i) {
      const int64_t skip = skips_.back();
      skips_.pop_back();
      decoder_.push_back({block(cat(at, "block", i), out, contains(k.attn_resolutions, resolution),
                                {.in_channels = skip}),
                          true});
    }
  }
  out_norm_ = child<GroupNorm>("out_norm", {.num_channels = channels_, .act = "silu"});
  out_conv_ = child<Conv2d>("out_conv", {.in_channels = channels_,
                                         .out_channels = k.out_channels,
                                         .kernel = 3,
                                         .init_mode = kDhariwalInitZero.init_mode,
                                         .init_weight = kDhariwalInitZero.init_weight,
                                         .init_bias = kDhariwalInitZero.init_bias});
}

Tensor DhariwalUNet::operator()(const Tensor& x, const Tensor& noise_labels,
                                const Tensor& class_labels, const Tensor& augment_labels) const {
  const Config& k = config_;
  check(x.rank() == 4 && x.size(1) == k.in_channels, "DhariwalUNet: x must be [B, ", k.in_channels,
        ", H, W], but is ", x.shape());
  const int64_t batch = x.size(0), unit = int64_t{1} << (k.channel_mult.size() - 1);
  check(x.size(2) > 0 && x.size(3) > 0 && x.size(2) % unit == 0 && x.size(3) % unit == 0,
        "DhariwalUNet: height and width must be multiples of ", unit, ", but x is ", x.shape());
  check(noise_labels.rank() == 1 && (noise_labels.size(0) == batch || noise_labels.size(0) == 1),
        "DhariwalUNet: noise_labels must be [", batch, "] or [1], but are ", noise_labels.shape());
  check(
      !map_label_ || (class_labels.defined() && class_labels.shape() == Shape{batch, k.label_dim}),
      "DhariwalUNet: class_labels must be [", batch, ", ", k.label_dim, "]");
  check(!map_augment_ || !augment_labels.defined() ||
            augment_labels.shape() == Shape{batch, k.augment_dim},
        "DhariwalUNet: augment_labels must be [", batch, ", ", k.augment_dim, "]");

  const Tensor emb = embed(noise_labels, class_labels, augment_labels);
  Tensor h = first_(x);
  std::vector<Tensor> skips{h};
  for (const Ref<UNetBlock>& block : encoder_) skips.push_back(h = block(h, emb));
  for (const DecoderBlock& step : decoder_) {
    if (step.takes_skip) {
      h = cat({h, skips.back()}, 1);
      skips.pop_back();
    }
    h = step.block(h, emb);
  }
  return out_conv_(out_norm_(h));
}

Tensor DhariwalUNet::embed(const Tensor& noise, const Tensor& classes,
                           const Tensor& augment) const {
  Tensor e = map_noise_(noise);
  if (map_augment_ && augment.defined()) e = e + map_augment_(as_dtype(augment, e));
  e = map_layer1_(silu(map_layer0_(e)));
  if (map_label_) {
    Tensor labels = as_dtype(classes, e);
    if (training()) labels = drop_rows(labels, config_.label_dropout, generator());
    e = e + map_label_(labels);
  }
  return silu(e);  // [B or 1, model_channels * channel_mult_emb]
}

}  // namespace brume::nn
