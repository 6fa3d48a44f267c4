#pragma once
// Images into tokens and back: the two ends of a transformer on a grid.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// A replaceable part of DiT. @shape x [B, C, ...] -> [B, N, hidden_size]
class Tokenizer : public Module {
 public:
  virtual Tensor tokenize(const Tensor& x) const = 0;
  /// Values that a DiT with dit_initialization starts from, where they differ from xavier_uniform.
  virtual void initialize_weights() {}
};

/// A replaceable part of DiT. @shape tokens [B, N, hidden_size], c [B, D] -> [B, out_channels, ...]
class Detokenizer : public Module {
 public:
  virtual Tensor detokenize(const Tensor& tokens, const Tensor& c) const = 0;
  /// As Tokenizer's.
  virtual void initialize_weights() {}
};

/// A grid of patches: sizes of the image and of a patch, each one number or two. `field` is what
/// `who` calls the former.
struct PatchGrid {
  PatchGrid(const OneOrMany<int64_t>& size, const OneOrMany<int64_t>& patch_size,
            const std::string& who, const char* field = "input_size");
  std::array<int64_t, 2> image, patch, tokens;
  int64_t count() const { return tokens[0] * tokens[1]; }
  int64_t patch_area() const { return patch[0] * patch[1]; }
};

struct PatchEmbedConfig {
  PatchGrid grid;
  int64_t in_channels = 0, width = 0;
};

/// A linear map of each patch. Keys: proj.* (a convolution's)
/// @shape  x [B, in_channels, H, W] of the grid's image -> [B, N, width]
class PatchEmbed : public Module {
 public:
  using Config = PatchEmbedConfig;
  explicit PatchEmbed(const Config& c);
  Tensor operator()(const Tensor& x) const;
  /// xavier_uniform, as for a linear layer.
  void initialize_weights();

 private:
  PatchGrid grid_;
  int64_t channels_;
  Tensor weight_, bias_;  // [width, C, p0, p1], [width]
};

/// The reverse arrangement: channels are the fastest index of a token.
/// @shape  tokens [B, N, p0 * p1 * channels] -> [B, channels, H, W]
Tensor image_of_patches(const Tensor& tokens, const PatchGrid& grid, int64_t channels);

struct PatchEmbed2DTokenizerConfig {
  OneOrMany<int64_t> input_size = 0, patch_size = 0;
  int64_t in_channels = 0, hidden_size = 0;
  std::optional<std::string> pos_embed = "learnable";  // or "none"
  template <class V>
  void fields(V& v) {
    v("input_size", input_size, required);
    v("patch_size", patch_size, required);
    v("in_channels", in_channels, required);
    v("hidden_size", hidden_size, required);
    v("pos_embed", pos_embed);
  }
};

/// A linear map of each patch, plus a learnable position. Keys: x_embedder.proj.*, pos_embed
/// @shape x [B, in_channels, H, W] of input_size -> [B, (H / p0) (W / p1), hidden_size]
class PatchEmbed2DTokenizer : public Tokenizer {
 public:
  using Config = PatchEmbed2DTokenizerConfig;
  explicit PatchEmbed2DTokenizer(const Config& c);
  Tensor operator()(const Tensor& x) const { return tokenize(x); }
  Tensor tokenize(const Tensor& x) const override;
  /// xavier_uniform, positions N(0, 0.02^2).
  void initialize_weights() override;

 private:
  Tensor pos_embed_;  // [1, N, hidden_size] or undefined
  Ref<PatchEmbed> x_embedder_;
};

struct ProjLayerConfig {
  int64_t hidden_size = 0, emb_channels = 0;
  Ignored ignored{};
  template <class V>
  void fields(V& v) {
    v("hidden_size", hidden_size, required);
    v("emb_channels", emb_channels, required);
    v.ignored(ignored, {"layernorm_backend"});
  }
};

/// output_projection(layer_norm(x) * (1 + scale) + shift) with shift and scale from the embedding.
/// @shape x [B, N, hidden_size], c [B, hidden_size] -> [B, N, emb_channels]
class ProjLayer : public Module {
 public:
  using Config = ProjLayerConfig;
  explicit ProjLayer(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& c) const;
  /// Zeros, so that a new DiT returns 0.
  void initialize_weights();

 private:
  Ref<Linear> output_projection_, adaptive_modulation_;
};

struct ProjReshape2DDetokenizerConfig {
  OneOrMany<int64_t> input_size = 0, patch_size = 0;
  int64_t out_channels = 0, hidden_size = 0;
  Ignored ignored{};
  template <class V>
  void fields(V& v) {
    v("input_size", input_size, required);
    v("patch_size", patch_size, required);
    v("out_channels", out_channels, required);
    v("hidden_size", hidden_size, required);
    v.ignored(ignored, {"layernorm_backend"});
  }
};

/// ProjLayer into patches, whose fastest index is the channel. Keys: proj_layer.*
class ProjReshape2DDetokenizer : public Detokenizer {
 public:
  using Config = ProjReshape2DDetokenizerConfig;
  explicit ProjReshape2DDetokenizer(const Config& c);
  Tensor operator()(const Tensor& tokens, const Tensor& c) const { return detokenize(tokens, c); }
  Tensor detokenize(const Tensor& tokens, const Tensor& c) const override;
  void initialize_weights() override { proj_layer_->initialize_weights(); }

 private:
  PatchGrid grid_;
  int64_t channels_;
  Ref<ProjLayer> proj_layer_;
};

/// Keywords of the convolutions behind the projection.
struct ConvHeadOptions {
  int64_t conv_layers = 2, conv_hidden = 64, conv_kernel = 3;
  template <class V>
  void fields(V& v) {
    v("conv_layers", conv_layers);
    v("conv_hidden", conv_hidden);
    v("conv_kernel", conv_kernel);
  }
};
struct ConvDetokenizerConfig {
  ProjReshape2DDetokenizerConfig proj{};
  ConvHeadOptions head{};
  template <class V>
  void fields(V& v) {
    proj.fields(v);
    head.fields(v);
  }
};

/// ProjReshape2DDetokenizer plus a residual of convolutions with GELU between them, which smooth
/// the seams of patches. Keys: proj.proj_layer.*, conv_head.<i>.*
class ConvDetokenizer : public Detokenizer {
 public:
  using Config = ConvDetokenizerConfig;
  explicit ConvDetokenizer(const Config& c);
  Tensor operator()(const Tensor& tokens, const Tensor& c) const { return detokenize(tokens, c); }
  Tensor detokenize(const Tensor& tokens, const Tensor& c) const override;
  void initialize_weights() override;

 private:
  Ref<ProjReshape2DDetokenizer> proj_;
  std::vector<Ref<ConvNd>> conv_head_;
};

}  // namespace brume::nn
