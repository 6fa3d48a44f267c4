#include <brume/nn/layers/embedding.h>

#include <cmath>
#include <numbers>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// Exponents in f32, as in the reference: with labels of 1000 the rounding of a frequency shows.
Tensor frequencies(int64_t count, double max_positions, bool endpoint) {
  const auto base = static_cast<float>(1 / max_positions);
  std::vector<float> f;
  for (int64_t k = 0; k < count; ++k) {
    const float exponent = static_cast<float>(k) / static_cast<float>(count - (endpoint ? 1 : 0));
    f.push_back(static_cast<float>(std::pow(double{base}, double{exponent})));
  }
  return from_vector(f, {count});
}

Tensor outer(const Tensor& x, const Tensor& freqs, const char* who) {
  check(x.rank() == 1, who, ": wants numbers [B], got ", x.shape());
  return unsqueeze(to(x, freqs.dtype()), 1) * freqs;  // [B, F]
}

}  // namespace

void check_embedding_channels(int64_t channels, const char* who) {
  check_range(who, "num_channels", channels, 2, 1 << 24);
}

Names names_of(EmbeddingOrder) {
  static constexpr const char* kNames[] = {"cos_sin", "np_sin_cos"};
  return kNames;
}

PositionalEmbedding::PositionalEmbedding(const Config& c) : order_(c.embed_fn) {
  check_embedding_channels(c.num_channels, "PositionalEmbedding");
  const int64_t width = c.freq_embed_dim.value_or(c.num_channels);
  check_range("PositionalEmbedding", "freq_embed_dim", width, 2, 1 << 24);
  check(!c.endpoint || width >= 4, "PositionalEmbedding: endpoint needs 4 channels, got ", width);
  freqs = buffer("freqs", {width / 2},
                 [c, width] { return frequencies(width / 2, c.max_positions, c.endpoint); });
  if (!c.learnable) return;
  const int64_t hidden = c.mlp_hidden_dim.value_or(2 * c.num_channels);
  mlp_in_ = child<Linear>("mlp.0", LinearConfig::torch_default(width, hidden));
  mlp_out_ = child<Linear>("mlp.2", LinearConfig::torch_default(hidden, c.num_channels));
}

Tensor PositionalEmbedding::operator()(const Tensor& x) const {
  const Tensor angle = outer(x, freqs, "PositionalEmbedding");
  const bool cos_first = order_ == EmbeddingOrder::cos_sin;
  const Tensor y =
      cat({cos_first ? cos(angle) : sin(angle), cos_first ? sin(angle) : cos(angle)}, 1);
  return mlp_in_ ? mlp_out_(silu(mlp_in_(y))) : y;
}

FourierEmbedding::FourierEmbedding(const Config& c) {
  check_embedding_channels(c.num_channels, "FourierEmbedding");
  freqs = buffer("freqs", {c.num_channels / 2}, Init::normal(c.scale));
}

Tensor FourierEmbedding::operator()(const Tensor& x) const {
  const Tensor angle = outer(x, freqs * (2 * std::numbers::pi), "FourierEmbedding");
  return cat({cos(angle), sin(angle)}, 1);
}

Tensor drop_rows(const Tensor& labels, double p, Generator& rng) {
  if (p == 0) return labels;
  const Tensor draws = uniform({labels.size(0), 1}, rng, {.device = labels.device()});
  return labels * as_dtype(ge(draws, p), labels);
}

}  // namespace brume::nn
