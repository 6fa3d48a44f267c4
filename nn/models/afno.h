#pragma once
// AFNO: a transformer whose tokens are mixed by frequencies; ModAFNO: the same, modulated by a
// time.

#include <optional>
#include <string>
#include <vector>

#include <brume/nn/layers/afno_filter.h>
#include <brume/nn/layers/layer_norm.h>
#include <brume/nn/layers/patches.h>
#include <brume/nn/layers/place_embedding.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct AFNOConfig {
  std::vector<int64_t> inp_shape = {0, 0};
  int64_t in_channels = 0, out_channels = 0;
  std::vector<int64_t> patch_size = {16, 16};
  int64_t embed_dim = 256;
  int64_t depth = 4;
  double mlp_ratio = 4;
  double drop_rate = 0;
  int64_t num_blocks = 16;
  double sparsity_threshold = 0.01;
  double hard_thresholding_fraction = 1;

  template <class V>
  void fields(V& v) {
    v("inp_shape", inp_shape, required);
    v("in_channels", in_channels);
    v("out_channels", out_channels);
    v("patch_size", patch_size);
    v("embed_dim", embed_dim);
    v("depth", depth);
    v("mlp_ratio", mlp_ratio);
    v("drop_rate", drop_rate);
    v("num_blocks", num_blocks);
    v("sparsity_threshold", sparsity_threshold);
    v("hard_thresholding_fraction", hard_thresholding_fraction);
  }
};

/// What of a block a vector scales and shifts.
struct AFNOModulation {
  bool filter = false, mlp = false;
  int64_t mod_dim = 0;
  ScaleShiftMode mode = ScaleShiftMode::complex;
  bool any() const { return filter || mlp; }
};

/// What AFNO and ModAFNO share. Keys: pos_embed, patch_embed.*, blocks.<i>.*, head.weight
class AFNOBody : public Module {
 protected:
  class Block;
  explicit AFNOBody(const AFNOConfig& c);
  void make_blocks(const AFNOConfig& c, const AFNOModulation& modulation);
  /// `added`: to every token, [B, embed_dim] or undefined; `mod`: to the blocks.
  Tensor run(const Tensor& x, const Tensor& added, const Tensor& mod) const;

 private:
  PatchGrid grid_;
  int64_t out_channels_;
  double drop_rate_;
  Tensor pos_embed_;  // [1, N, embed_dim]
  Ref<PatchEmbed> patch_embed_;
  std::vector<Ref<Block>> blocks_;
  Ref<Linear> head_;
};

/// Patches as tokens, blocks of a frequency filter and an MLP, patches again.
/// @shape  x [B, in_channels, H, W] of inp_shape -> [B, out_channels, H, W]
/// @source Guibas et al. 2022, arXiv:2111.13587; Pathak et al. 2022, arXiv:2202.11214
class AFNO : public AFNOBody {
 public:
  using Config = AFNOConfig;
  explicit AFNO(const Config& c) : AFNOBody(c) { make_blocks(c, {}); }
  Tensor operator()(const Tensor& x) const { return run(x, {}, {}); }
};

enum class ModEmbedMethod { sinusoidal, onehot };
Names names_of(ModEmbedMethod);

/// How a ModAFNO embeds its time; dim must be mod_dim.
struct ModEmbedNetConfig {
  double max_time = 1;
  int64_t dim = 64;
  int64_t depth = 1;
  ModEmbedMethod method = ModEmbedMethod::sinusoidal;
  template <class V>
  void fields(V& v) {
    v("max_time", max_time);
    v("dim", dim);
    v("depth", depth);
    v("method", method);
  }
};

/// An embedding of t / max_time and layers with GELU. @shape t [B] or [B, 1] -> [B, dim]
class ModEmbedNet : public Module {
 public:
  using Config = ModEmbedNetConfig;
  explicit ModEmbedNet(const Config& c);
  Tensor operator()(const Tensor& t) const;

 private:
  double max_time_;
  Ref<SinusoidalTimestepEmbedding> sinusoid_embed_;
  Ref<OneHotEmbedding> onehot_embed_;
  std::vector<Ref<Linear>> mlp_;
};

struct ModAFNOConfig : AFNOConfig {
  ModAFNOConfig() {
    in_channels = 155, out_channels = 73;
    patch_size = {2, 2};
    embed_dim = 512, depth = 12, num_blocks = 1;
    mlp_ratio = 2;
  }
  std::optional<ModEmbedNetConfig> embed_model{};
  int64_t mod_dim = 64;
  bool modulate_filter = true, modulate_mlp = true;
  ScaleShiftMode scale_shift_mode = ScaleShiftMode::complex;

  template <class V>
  void fields(V& v) {
    AFNOConfig::fields(v);
    v("embed_model", embed_model);
    v("mod_dim", mod_dim);
    v("modulate_filter", modulate_filter);
    v("modulate_mlp", modulate_mlp);
    v("scale_shift_mode", scale_shift_mode);
  }
};

/// AFNO whose filters and MLPs are scaled and shifted by an embedding of `mod`, for instance a time
/// to interpolate to.
/// @shape  x [B, in_channels, H, W], mod [B] or [B, 1] -> [B, out_channels, H, W]
/// @source Leinonen et al. 2024, arXiv:2410.18904
class ModAFNO : public AFNOBody {
 public:
  using Config = ModAFNOConfig;
  explicit ModAFNO(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& mod) const;

 private:
  Ref<ModEmbedNet> mod_embed_net_;  // empty: nothing is modulated
  Ref<Linear> mod_additive_proj_;
};

}  // namespace brume::nn
