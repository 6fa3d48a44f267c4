#pragma once
// DiT: the diffusion transformer.

#include <optional>
#include <vector>

#include <brume/nn/layers/conditioning.h>
#include <brume/nn/layers/dit_block.h>
#include <brume/nn/layers/patches.h>
#include <brume/nn/layers/rotary.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// Keywords of the tokenizer.
struct PatchEmbedOptions {
  std::optional<std::string> pos_embed = "learnable";  // or "none"
  template <class V>
  void fields(V& v) {
    v("pos_embed", pos_embed);
  }
};
/// Who computes the norms in the reference; the numbers are the same.
enum class LayerNormBackend { torch, apex };
Names names_of(LayerNormBackend);

/// Keywords of every block. The reference passes block_kwargs and attn_kwargs on as one, so that
/// each may hold what belongs to the other.
struct BlockKeywords {
  DiTBlockOptions block{};
  SelfAttentionOptions attention{};
  bool of_block = false;  // what it is written as
  template <class V>
  void fields(V& v) {
    const Also<V> also{v};
    if (of_block) {
      block.fields(v);
      attention.fields(also);
    } else {
      attention.fields(v);
      block.fields(also);
    }
  }

 private:
  template <class V>
  struct Also {
    V& v;
    template <class T>
    void operator()(const char* key, T& member) const {
      v.also(key, member);
    }
    void ignored(Ignored& values, std::initializer_list<const char*> keys) const {
      v.also_ignored(values, keys);
    }
  };
};

/// Keywords of a part that takes none.
struct NoOptions {
  template <class V>
  void fields(V&) {}
};

/// The three replaceable parts are chosen by name (tokenizer: patch_embed_2d; detokenizer:
/// proj_reshape_2d, proj_reshape_2d_conv; conditioning_embedder: dit, edm, zero) or supplied as
/// modules derived from Tokenizer, Detokenizer and ConditioningEmbedder. dit_initialization draws
/// the linear layers of supplied parts anew too, as the reference does.
struct DiTConfig {
  OneOrMany<int64_t> input_size = 0;
  int64_t in_channels = 0;
  OneOrMany<int64_t> patch_size = {8, 8};
  NameOrModule tokenizer = "patch_embed_2d";
  NameOrModule detokenizer = "proj_reshape_2d";
  std::optional<int64_t> out_channels{};  // in_channels
  int64_t hidden_size = 384;
  int64_t depth = 12;
  int64_t num_heads = 8;
  double mlp_ratio = 4;
  AttentionBackend attention_backend = AttentionBackend::timm;
  LayerNormBackend layernorm_backend = LayerNormBackend::torch;
  std::optional<int64_t> condition_dim{};
  NameOrModule conditioning_embedder = "dit";
  bool dit_initialization = true;  // a new model returns 0
  TimeEmbeddingOptions dit_embedder_kwargs{};
  EDMEmbeddingOptions edm_embedder_kwargs{};
  PatchEmbedOptions tokenizer_kwargs{};
  ConvHeadOptions detokenizer_kwargs{};
  DiTBlockOptions block_kwargs{};
  SelfAttentionOptions attn_kwargs{};
  std::optional<std::vector<double>> drop_path_rates{};  // one per block
  bool force_tokenization_fp32 = false;  // both ends in f32 where x is of a half type
  bool use_nan_mask_tokens = false;      // calls may say invalid_mask

  template <class V>
  void fields(V& v) {
    NoOptions none;
    v("input_size", input_size, required);
    v("in_channels", in_channels, required);
    v("patch_size", patch_size);
    v("tokenizer", tokenizer);
    v("detokenizer", detokenizer);
    v("out_channels", out_channels);
    v("hidden_size", hidden_size);
    v("depth", depth);
    v("num_heads", num_heads);
    v("mlp_ratio", mlp_ratio);
    v("attention_backend", attention_backend);
    v("layernorm_backend", layernorm_backend);
    v("condition_dim", condition_dim);
    v("conditioning_embedder", conditioning_embedder);
    v("dit_initialization", dit_initialization);
    if (conditioning_embedder.name == "edm")
      v("conditioning_embedder_kwargs", edm_embedder_kwargs);
    else if (conditioning_embedder.name == "dit")
      v("conditioning_embedder_kwargs", dit_embedder_kwargs);
    else
      v("conditioning_embedder_kwargs", none);
    v("tokenizer_kwargs", tokenizer_kwargs);
    if (detokenizer.name == "proj_reshape_2d_conv")
      v("detokenizer_kwargs", detokenizer_kwargs);
    else
      v("detokenizer_kwargs", none);
    attn_kwargs.backend = attention_backend;
    for (const bool of_block : {true, false}) {
      BlockKeywords both{block_kwargs, attn_kwargs, of_block};
      v(of_block ? "block_kwargs" : "attn_kwargs", both);
      block_kwargs = both.block, attn_kwargs = both.attention;
    }
    v("drop_path_rates", drop_path_rates);
    v("force_tokenization_fp32", force_tokenization_fp32);
    v("use_nan_mask_tokens", use_nan_mask_tokens);
  }
};

/// What a call may say beside x, t and the condition.
struct DiTCall {
  Tensor attn_mask{};     // as in AttentionCall
  Tensor p_dropout{};     // of one element or [B]; with block_kwargs.intermediate_dropout
  Tensor invalid_mask{};  // pixels that say nothing, [B, H, W] or [B, 1, H, W]; with
                          // use_nan_mask_tokens; x must be finite there
  bool fused_attention = true;
};

/// Patches as tokens, DiTBlocks between them under an embedding of t and a condition, and patches
/// again.
/// @shape  x [B, in_channels, H, W], t [B], condition [B, condition_dim] or undefined
///         -> [B, out_channels, H, W]
/// @throws ShapeError if a shape does not fit; Error on an unknown name of a part or a part of
///         another class
/// @source Peebles and Xie 2022, arXiv:2212.09748
class DiT : public Module {
 public:
  using Config = DiTConfig;
  explicit DiT(Config c);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& condition = {},
                    const DiTCall& call = {}) const;

  /// Older files name the embedding of t without the embedder around it.
  LegacyKeys legacy_keys() const override;

 private:
  void make_tokenizer();
  void make_embedder();
  void make_detokenizer();
  void make_blocks();
  void initialize_weights();
  Tensor invalid_tokens(const Tensor& invalid_mask) const;

  Config config_;
  Ref<Tokenizer> tokenizer_;
  Ref<ConditioningEmbedder> conditioning_embedder_;
  Ref<Detokenizer> detokenizer_;
  Ref<RotaryEmbedding2DTables> rope_;
  std::vector<Ref<DiTBlock>> blocks_;
  std::array<int64_t, 2> latent_hw_{};  // the grid of tokens, where attention asks for it
};

}  // namespace brume::nn
