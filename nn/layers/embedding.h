#pragma once
// Embeddings of a number, such as a noise level, into a vector.

#include <optional>

#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// @throws Error naming `who` unless there are channels for a sine and a cosine
void check_embedding_channels(int64_t channels, const char* who);

enum class EmbeddingOrder { cos_sin, np_sin_cos };
Names names_of(EmbeddingOrder);

struct PositionalEmbeddingConfig {
  int64_t num_channels = 0;
  double max_positions = 10000;
  bool endpoint = false;
  bool learnable = false;
  std::optional<int64_t> freq_embed_dim{};  // num_channels
  std::optional<int64_t> mlp_hidden_dim{};  // 2 num_channels
  EmbeddingOrder embed_fn = EmbeddingOrder::cos_sin;
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("num_channels", num_channels, required);
    v("max_positions", max_positions);
    v("endpoint", endpoint);
    v("learnable", learnable);
    v("freq_embed_dim", freq_embed_dim);
    v("mlp_hidden_dim", mlp_hidden_dim);
    v("embed_fn", embed_fn);
    v.ignored(ignored, {"amp_mode"});
  }
};

/// cos(x f_k), sin(x f_k) for frequencies max_positions^(-k / n), k < n; with `endpoint` the last
/// is 1 / max_positions itself. Learnable: two linear layers with SiLU between them follow.
/// @shape x [B] -> [B, num_channels]
/// @source Vaswani et al. 2017, arXiv:1706.03762, section 3.5
class PositionalEmbedding : public Module {
 public:
  using Config = PositionalEmbeddingConfig;
  explicit PositionalEmbedding(const Config& c);
  Tensor operator()(const Tensor& x) const;

  /// Older files do not hold the frequencies.
  LegacyKeys legacy_keys() const override { return {.may_miss = {"freqs"}}; }

  Tensor freqs;

 private:
  EmbeddingOrder order_;
  Ref<Linear> mlp_in_, mlp_out_;
};

struct FourierEmbeddingConfig {
  int64_t num_channels = 0;
  double scale = 16;
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("num_channels", num_channels, required);
    v("scale", scale);
    v.ignored(ignored, {"amp_mode"});
  }
};

/// cos(2 pi f x), sin(2 pi f x) with fixed random frequencies N(0, scale^2).
/// @shape x [B] -> [B, num_channels]
/// @source Tancik et al. 2020, arXiv:2006.10739
class FourierEmbedding : public Module {
 public:
  using Config = FourierEmbeddingConfig;
  explicit FourierEmbedding(const Config& c);
  Tensor operator()(const Tensor& x) const;

  Tensor freqs;
};

/// Labels with each sample's row set to zero with probability p. @shape labels [B, D] -> same
Tensor drop_rows(const Tensor& labels, double p, Generator& rng);

}  // namespace brume::nn
