#include <brume/nn/layers/conditioning.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>

namespace brume::nn {
namespace {

Tensor as_number(const Tensor& t) { return is_floating(t.dtype()) ? t : convert(t, DType::f32); }

void check_condition(const Tensor& condition, const Tensor& t, int64_t width, const char* who) {
  check(condition.shape() == Shape{t.size(0), width}, who, ": the condition must be [", t.size(0),
        ", ", width, "], but is ", condition.shape());
}

}  // namespace

DiTConditionEmbedder::DiTConditionEmbedder(const Config& c) : width_(c.hidden_size) {
  t_embedder_ = child<PositionalEmbedding>("t_embedder", {.num_channels = c.hidden_size,
                                                          .max_positions = c.time.max_positions,
                                                          .endpoint = c.time.endpoint,
                                                          .learnable = true,
                                                          .freq_embed_dim = c.time.freq_embed_dim,
                                                          .mlp_hidden_dim = c.time.mlp_hidden_dim,
                                                          .embed_fn = c.time.embed_fn});
  if (c.condition_dim == 0) return;
  cond_embedder_ = child<Linear>(
      "cond_embedder", LinearConfig::torch_default(c.condition_dim, c.hidden_size, false));
  detail::redraw(cond_embedder_->weight, Init::constant(0));
}

Tensor DiTConditionEmbedder::embed(const Tensor& t, const Tensor& condition) const {
  const Tensor c = t_embedder_(as_number(t));
  if (!cond_embedder_ || !condition.defined()) return c;
  check_condition(condition, t, cond_embedder_->weight.size(1), "DiTConditionEmbedder");
  return c + cond_embedder_(as_dtype(condition, c));
}

EDMConditionEmbedder::EDMConditionEmbedder(const Config& c) : config_(c) {
  const EDMEmbeddingOptions& o = c.options;
  map_noise_ = child<PositionalEmbedding>("map_noise", {.num_channels = o.noise_channels,
                                                        .max_positions = o.max_positions,
                                                        .endpoint = true,
                                                        .embed_fn = EmbeddingOrder::np_sin_cos});
  const auto map = [this](const char* name, int64_t in, int64_t out) {
    return child<Linear>(name, LinearConfig::torch_default(in, out));
  };
  if (c.condition_dim > 0 || o.legacy_condition_bias)
    map_condition_ = map("map_condition", c.condition_dim, o.noise_channels);
  map_layer0_ = map("map_layer0", o.noise_channels, o.emb_channels);
  map_layer1_ = map("map_layer1", o.emb_channels, o.emb_channels);
}

Tensor EDMConditionEmbedder::embed(const Tensor& t, const Tensor& condition) const {
  Tensor n = map_noise_(as_number(t));
  if (map_condition_ && condition.defined()) {
    check_condition(condition, t, config_.condition_dim, "EDMConditionEmbedder");
    Tensor labels = as_dtype(condition, n);
    if (training()) labels = drop_rows(labels, config_.options.condition_dropout, generator());
    n = n + map_condition_(labels * std::sqrt(static_cast<double>(config_.condition_dim)));
  }
  return map_layer1_(silu(map_layer0_(n)));
}

Tensor ZeroConditioningEmbedder::embed(const Tensor& t, const Tensor&) const {
  const Tensor number = as_number(t);
  return empty({number.size(0), 0}, {.dtype = number.dtype(), .device = number.device()});
}

}  // namespace brume::nn
