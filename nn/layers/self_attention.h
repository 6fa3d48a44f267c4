#pragma once
// Attention between the tokens of a sequence, as transformers use it.

#include <array>
#include <memory>
#include <optional>
#include <string>

#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::nn {

enum class AttentionBackend { timm, transformer_engine, natten2d, natten2d_rope };
Names names_of(AttentionBackend);

/// Keywords of the neighbourhood attention.
struct NeighbourhoodOptions {
  OneOrMany<int64_t> dilation = 1;  // neighbours are so far apart; one number, or rows and columns
  template <class V>
  void fields(V& v) {
    v("dilation", dilation);
  }
};

/// Keywords of the attention inside a block; which there are depends on the backend.
struct SelfAttentionOptions {
  AttentionBackend backend = AttentionBackend::timm;
  double attn_drop_rate = 0, proj_drop_rate = 0;
  // timm
  std::optional<std::string> qk_norm_type{};  // "RMSNorm" or "LayerNorm", over each head
  bool qk_norm_affine = true;
  bool is_causal = false;
  // natten2d and natten2d_rope
  int64_t attn_kernel = 3;
  bool qkv_bias = true;
  bool qk_norm = false;
  std::optional<NeighbourhoodOptions> na2d_kwargs{};
  bool use_mask_token = false;  // a learnable token for places that a call says are invalid
  double rope_theta = 10000;    // natten2d_rope in a DiT
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("attn_drop_rate", attn_drop_rate);
    v("proj_drop_rate", proj_drop_rate);
    if (backend == AttentionBackend::timm) {
      v("qk_norm_type", qk_norm_type);
      v("qk_norm_affine", qk_norm_affine);
      v("is_causal", is_causal);
      return;
    }
    v("attn_kernel", attn_kernel);
    v("qkv_bias", qkv_bias);
    v("qk_norm", qk_norm);
    v("na2d_kwargs", na2d_kwargs);
    v("use_mask_token", use_mask_token);
    if (backend == AttentionBackend::natten2d_rope) v("rope_theta", rope_theta);
    v.ignored(ignored, {"norm_layer"});
  }
};

struct SelfAttentionConfig {
  int64_t hidden_size = 0, num_heads = 0;
  SelfAttentionOptions options{};
  template <class V>
  void fields(V& v) {
    v("hidden_size", hidden_size, required);
    v("num_heads", num_heads, required);
    options.fields(v);
  }
};

/// What a call of the attention may say beside the tokens.
struct AttentionCall {
  Tensor
      attn_mask{};  // added to the scores, or bool (false = hidden); broadcasts to [B, heads, N, N]
  std::array<int64_t, 2> latent_hw{};  // the grid that the tokens lie on
  Tensor invalid_tokens{};             // bool or 0 to 1, [B, N] or [N]; with use_mask_token
  Tensor rope_cos{}, rope_sin{};       // turn queries and keys, if defined
  bool fused = true;  // false: composed of differentiable operations (second derivatives)
};

/// proj(attention(qkv(x))) with heads of hidden_size / num_heads channels.
/// @shape  x [B, N, hidden_size] -> same
class SelfAttention : public Module {
 public:
  virtual Tensor attend(const Tensor& x, const AttentionCall& call) const = 0;

 protected:
  /// Makes the two projections under the names `prefix`qkv and `prefix`proj.
  void make_qkv(const SelfAttentionConfig& c, const std::string& prefix);
  void make_proj(const SelfAttentionConfig& c, const std::string& prefix);
  /// @shape [B, N, hidden_size] -> [3, B, heads, N, head size], a view
  Tensor qkv(const Tensor& x) const;
  /// proj(softmax(q k^T + mask) v) with dropout where there is one. @shape q, k, v [B, heads, N, d]
  Tensor join(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              bool causal) const;
  /// The same of qkv() as it is, in one piece.
  Tensor join(const Tensor& qkv, const AttentionCall& call, bool causal) const;

  int64_t head_size_ = 0;
  bool drops_result_ = false;  // attn_drop_rate acts behind the attention, not on its weights

 private:
  Tensor project(const Tensor& y) const;
  int64_t heads_ = 0;
  double attn_drop_ = 0, proj_drop_ = 0;
  Ref<Linear> qkv_, proj_;
};

/// Every token sees every token, or those before it. Keys: attn_op.{qkv, q_norm, k_norm, proj}.*
class TimmSelfAttention : public SelfAttention {
 public:
  using Config = SelfAttentionConfig;
  explicit TimmSelfAttention(const Config& c);
  Tensor operator()(const Tensor& x, const AttentionCall& call = {}) const {
    return attend(x, call);
  }
  Tensor attend(const Tensor& x, const AttentionCall& call) const override;

 private:
  Ref<Module> q_norm_, k_norm_;  // both LayerNorm or RmsNorm, or empty
  Tensor (*normalise_)(const Module& norm, const Tensor& x) = nullptr;
  bool causal_;
};

/// Which tokens of an h x w grid see which, bool [h w, h w]: kernel x kernel of those that lie a
/// multiple of the dilation away. @throws ShapeError if a window does not fit
Tensor neighbourhood_mask(std::array<int64_t, 2> grid, int64_t kernel,
                          std::array<int64_t, 2> dilation = {1, 1});

/// The neighbourhood_mask of the grid that was asked for last, shared by all who hold the same one.
/// It has (h w)^2 bytes.
class NeighbourhoodMask {
 public:
  /// May be called by several threads at a time.
  Tensor on(std::array<int64_t, 2> grid, int64_t kernel, std::array<int64_t, 2> dilation,
            Device device);

 private:
  std::shared_ptr<const Tensor> mine_;
};

/// Every token of a grid sees the attn_kernel x attn_kernel window around it, which is moved
/// inwards at the borders; with rotary tables in the call queries and keys are turned. Invalid
/// tokens are exchanged for the mask token first; their values must be finite.
/// Keys: {qkv, proj}.*, mask_token
/// @throws ShapeError if the tokens are not those of call.latent_hw
/// @source Hassani et al. 2022, arXiv:2204.07143
class Natten2DSelfAttention : public SelfAttention {
 public:
  struct Config : SelfAttentionConfig {
    Config() { options.backend = AttentionBackend::natten2d; }
    Config(const SelfAttentionConfig& c) : SelfAttentionConfig(c) {}
  };
  explicit Natten2DSelfAttention(const Config& c);
  Tensor operator()(const Tensor& x, const AttentionCall& call) const { return attend(x, call); }
  Tensor attend(const Tensor& x, const AttentionCall& call) const override;

 private:
  Tensor with_mask_token(const Tensor& x, const Tensor& invalid) const;
  int64_t kernel_;
  std::array<int64_t, 2> dilation_{};
  bool qk_norm_;
  mutable NeighbourhoodMask mask_;
  Tensor mask_token_;  // [1, 1, hidden_size] or undefined
};

}  // namespace brume::nn
