#pragma once
// Embeddings of times and places into waves.

#include <numbers>
#include <optional>
#include <vector>

#include <brume/nn/module.h>

namespace brume::nn {

struct SinusoidalTimestepEmbeddingConfig {
  int64_t num_channels = 0;
  template <class V>
  void fields(V& v) {
    v("num_channels", num_channels, required);
  }
};

/// cos(pi k t), sin(pi k t) for k = 1 .. num_channels / 2. @shape t [B] or [B, 1] -> [B,
/// num_channels]
class SinusoidalTimestepEmbedding : public Module {
 public:
  using Config = SinusoidalTimestepEmbeddingConfig;
  explicit SinusoidalTimestepEmbedding(const Config& c);
  Tensor operator()(const Tensor& t) const;

 private:
  Tensor freqs_;
};

/// max(0, 1 - |t (n - 1) - i|): a hat around each of n times from 0 to 1.
/// @shape  t [B] or [B, 1] -> [B, num_channels]
class OneHotEmbedding : public Module {
 public:
  using Config = SinusoidalTimestepEmbeddingConfig;
  explicit OneHotEmbedding(const Config& c);
  Tensor operator()(const Tensor& t) const;

 private:
  Tensor indices_;  // [1, num_channels]
};

struct FourierPositionalEmbeddingConfig {
  int64_t in_dim = 3, num_bands = 10;
  bool include_input = true;
  double base_freq = std::numbers::pi, freq_scale = 2;
  std::optional<std::vector<double>> freqs{};  // instead of base_freq * freq_scale^i
  template <class V>
  void fields(V& v) {
    v("in_dim", in_dim);
    v("num_bands", num_bands);
    v("include_input", include_input);
    v("base_freq", base_freq);
    v("freq_scale", freq_scale);
    v("freqs", freqs);
  }
};

/// For each coordinate sines, then cosines of all frequencies; in front, if wanted, x itself.
/// @shape  x [..., in_dim] -> [..., (in_dim if include_input) + 2 * in_dim * bands]
/// @source Mildenhall et al. 2020, arXiv:2003.08934
class FourierPositionalEmbedding : public Module {
 public:
  using Config = FourierPositionalEmbeddingConfig;
  explicit FourierPositionalEmbedding(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t in_dim_;
  bool include_input_;
  Tensor freqs_;  // [bands]
};

struct FourierLayerConfig {
  int64_t in_features = 0;
  /// Frequency vectors, each of in_features numbers; or a name and what it takes: {"gaussian", std,
  /// count}, drawn; or any of full, axis and diagonal ("axis,diagonal") and a list of numbers:
  /// all their combinations, each along each axis, each along the diagonal.
  std::vector<NameOr<OneOrMany<double>>> frequencies{};
  template <class V>
  void fields(V& v) {
    v("in_features", in_features, required);
    v("frequencies", frequencies, required);
  }
};

/// sin(2 pi f x), then cos(2 pi f x), for fixed frequency vectors f.
/// @shape  x [..., in_features] -> [..., 2 * frequencies]
/// @source Tancik et al. 2020, arXiv:2006.10739
class FourierLayer : public Module {
 public:
  using Config = FourierLayerConfig;
  explicit FourierLayer(const Config& c);
  Tensor operator()(const Tensor& x) const;
  int64_t out_features() const { return 2 * frequencies_.size(1); }

 private:
  Tensor frequencies_;  // [in_features, frequencies]
};

}  // namespace brume::nn
