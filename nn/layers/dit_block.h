#pragma once

#include <optional>

#include <brume/nn/layers/mlp.h>
#include <brume/nn/layers/self_attention.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// Keywords of a block that a DiT passes on.
struct DiTBlockOptions {
  double norm_eps = 1e-6;
  bool intermediate_dropout = false;  // calls may say p_dropout
  double mlp_drop_rate = 0;
  bool final_mlp_dropout = true;
  template <class V>
  void fields(V& v) {
    v("norm_eps", norm_eps);
    v("intermediate_dropout", intermediate_dropout);
    v("mlp_drop_rate", mlp_drop_rate);
    v("final_mlp_dropout", final_mlp_dropout);
  }
};

struct DiTBlockConfig {
  int64_t hidden_size = 0, num_heads = 0;
  double mlp_ratio = 4;
  double drop_path = 0;                          // training: probability that a branch is left out
  std::optional<int64_t> condition_embed_dim{};  // hidden_size
  DiTBlockOptions options{};
  SelfAttentionOptions attention{};
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("hidden_size", hidden_size, required);
    v("num_heads", num_heads, required);
    v("attention_backend", attention.backend);
    v("mlp_ratio", mlp_ratio);
    v("drop_path", drop_path);
    v("condition_embed_dim", condition_embed_dim);
    options.fields(v);
    attention.fields(v);
    v.ignored(ignored, {"layernorm_backend"});
  }
};

/// Attention and an MLP, each behind a norm that the embedding scales and shifts, and each with a
/// gate in front of its residual (adaLN).
/// @shape  x [B, N, hidden_size], c [B, condition_embed_dim] -> as x
/// @source Peebles and Xie 2022, arXiv:2212.09748
class DiTBlock : public Module {
 public:
  using Config = DiTBlockConfig;
  explicit DiTBlock(const Config& c);
  /// `p_dropout`: one probability, or one per sample, for a dropout behind the first norm.
  Tensor operator()(const Tensor& x, const Tensor& c, const AttentionCall& call = {},
                    const Tensor& p_dropout = {}) const;
  /// A gate of 0: a new block is the identity.
  void initialize_weights();

 private:
  Tensor drop_path(const Tensor& gate) const;
  double norm_eps_, drop_path_;
  bool takes_dropout_;
  Ref<SelfAttention> attention_;
  Ref<Mlp> linear_;
  Ref<Linear> adaptive_modulation_;
};

struct PerSampleDropoutConfig {
  Ignored ignored{};
  template <class V>
  void fields(V& v) {
    v.ignored(ignored, {"inplace"});
  }
};

/// Dropout with a probability of its own for each sample, in training mode.
/// @shape  x [B, ...], p of one element or [B]
class PerSampleDropout : public Module {
 public:
  using Config = PerSampleDropoutConfig;
  explicit PerSampleDropout(const Config&) {}
  Tensor operator()(const Tensor& x, const Tensor& p) const;
};

}  // namespace brume::nn
