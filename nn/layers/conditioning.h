#pragma once
// What turns a noise level and a vector condition into the embedding that a transformer's norms
// depend on.

#include <optional>

#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// A replaceable part of DiT. @shape t [B], condition [B, D] or undefined -> [B, output_dim()]
class ConditioningEmbedder : public Module {
 public:
  virtual Tensor embed(const Tensor& t, const Tensor& condition) const = 0;
  virtual int64_t output_dim() const = 0;
};

/// Keywords of the time embedding inside DiTConditionEmbedder.
struct TimeEmbeddingOptions {
  double max_positions = 10000;
  bool endpoint = false;
  std::optional<int64_t> freq_embed_dim{}, mlp_hidden_dim{};
  EmbeddingOrder embed_fn = EmbeddingOrder::cos_sin;
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("max_positions", max_positions);
    v("endpoint", endpoint);
    v("freq_embed_dim", freq_embed_dim);
    v("mlp_hidden_dim", mlp_hidden_dim);
    v("embed_fn", embed_fn);
    v.ignored(ignored, {"amp_mode"});
  }
};

struct DiTConditionEmbedderConfig {
  int64_t hidden_size = 0, condition_dim = 0;
  TimeEmbeddingOptions time{};
  template <class V>
  void fields(V& v) {
    v("hidden_size", hidden_size, required);
    v("condition_dim", condition_dim);
    time.fields(v);
  }
};

/// A learnable embedding of t, plus a linear map of the condition (new ones: 0). A condition that
/// is missing adds nothing.
/// @source Peebles and Xie 2022, arXiv:2212.09748
class DiTConditionEmbedder : public ConditioningEmbedder {
 public:
  using Config = DiTConditionEmbedderConfig;
  explicit DiTConditionEmbedder(const Config& c);
  Tensor operator()(const Tensor& t, const Tensor& condition = {}) const {
    return embed(t, condition);
  }
  Tensor embed(const Tensor& t, const Tensor& condition) const override;
  int64_t output_dim() const override { return width_; }

 private:
  int64_t width_;
  Ref<PositionalEmbedding> t_embedder_;
  Ref<Linear> cond_embedder_;
};

/// Keywords of EDMConditionEmbedder in a DiT.
struct EDMEmbeddingOptions {
  int64_t emb_channels = 0, noise_channels = 0;
  double condition_dropout = 0;        // training: probability that a sample's condition is zeroed
  bool legacy_condition_bias = false;  // a map of the condition, of its bias alone, also for 0
  double max_positions = 10000;
  Ignored ignored{};
  template <class V>
  void fields(V& v) {
    v("emb_channels", emb_channels, required);
    v("noise_channels", noise_channels, required);
    v("condition_dropout", condition_dropout);
    v("legacy_condition_bias", legacy_condition_bias);
    v("max_positions", max_positions);
    // Those of the other embedder say nothing here, as in the reference.
    v.ignored(ignored, {"amp_mode", "hidden_size", "endpoint", "freq_embed_dim", "mlp_hidden_dim",
                        "embed_fn"});
  }
};

struct EDMConditionEmbedderConfig {
  EDMEmbeddingOptions options{};
  int64_t condition_dim = 0;
  template <class V>
  void fields(V& v) {
    options.fields(v);
    v("condition_dim", condition_dim);
  }
};

/// The embedding of the EDM U-Nets: sines in front, the condition added before two linear layers.
/// @source Karras et al. 2022, arXiv:2206.00364
class EDMConditionEmbedder : public ConditioningEmbedder {
 public:
  using Config = EDMConditionEmbedderConfig;
  explicit EDMConditionEmbedder(const Config& c);
  Tensor operator()(const Tensor& t, const Tensor& condition = {}) const {
    return embed(t, condition);
  }
  Tensor embed(const Tensor& t, const Tensor& condition) const override;
  int64_t output_dim() const override { return config_.options.emb_channels; }

 private:
  Config config_;
  Ref<PositionalEmbedding> map_noise_;
  Ref<Linear> map_condition_, map_layer0_, map_layer1_;
};

struct ZeroConditioningEmbedderConfig {
  template <class V>
  void fields(V&) {}
};

/// No embedding at all: norms follow their biases alone. @shape t [B] -> [B, 0]
class ZeroConditioningEmbedder : public ConditioningEmbedder {
 public:
  using Config = ZeroConditioningEmbedderConfig;
  explicit ZeroConditioningEmbedder(const Config&) {}
  Tensor operator()(const Tensor& t) const { return embed(t, {}); }
  Tensor embed(const Tensor& t, const Tensor& condition) const override;
  int64_t output_dim() const override { return 0; }
};

}  // namespace brume::nn
