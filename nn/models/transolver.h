#pragma once
// Transolver: attention between slices of a mesh.

#include <optional>
#include <string>
#include <vector>

#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/layer_norm.h>
#include <brume/nn/layers/mlp.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct TransolverConfig {
  int64_t functional_dim = 0, out_dim = 0;
  std::optional<int64_t> embedding_dim{};
  int64_t n_layers = 4, n_hidden = 256;
  double dropout = 0;
  int64_t n_head = 8;
  std::string act = "gelu";
  int64_t mlp_ratio = 4;
  int64_t slice_num = 32;
  bool unified_pos = false;  // embedding: distances to a ref x ref grid
  int64_t ref = 8;
  std::optional<std::vector<int64_t>> structured_shape{};  // 2 or 3 sizes: convolutions project
  bool time_input = false;
  bool plus = false;    // of the reference; not supported
  bool use_te = false;  // a library of the reference's; the numbers are the same

  template <class V>
  void fields(V& v) {
    v("functional_dim", functional_dim, required);
    v("out_dim", out_dim, required);
    v("embedding_dim", embedding_dim);
    v("n_layers", n_layers);
    v("n_hidden", n_hidden);
    v("dropout", dropout);
    v("n_head", n_head);
    v("act", act);
    v("mlp_ratio", mlp_ratio);
    v("slice_num", slice_num);
    v("unified_pos", unified_pos);
    v("ref", ref);
    v("structured_shape", structured_shape);
    v("time_input", time_input);
    v("plus", plus);
    v("use_te", use_te);
  }
};

struct PhysicsAttentionConfig {
  int64_t width = 0, heads = 0, slices = 0;
  double dropout = 0;
  std::vector<int64_t> structured_shape{};  // empty: an irregular mesh
};

/// Points give themselves to slices by a softmax; slices attend to one another, and give back.
/// Keys: temperature, in_project_x.*, in_project_fx.*, in_project_slice.*, qkv_project.weight,
/// out_linear.*
/// @shape  x [B, N, width] -> same
/// @source Wu et al. 2024, arXiv:2402.02366
class PhysicsAttention : public Module {
 public:
  using Config = PhysicsAttentionConfig;
  explicit PhysicsAttention(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor project(const Ref<Linear>& linear, const Ref<ConvNd>& conv, const Tensor& x) const;
  Config config_;
  Tensor temperature_;                  // [1, 1, heads, 1]
  Ref<Linear> to_x_, to_fx_;            // of an irregular mesh
  Ref<ConvNd> conv_to_x_, conv_to_fx_;  // of a grid
  Ref<Linear> to_slice_, qkv_project_, out_linear_;
};

/// @shape  fx [B, N, functional_dim] or [B, grid..., functional_dim], embedding [B, N,
///         embedding_dim] (none with unified_pos), time [B] -> as fx, with out_dim
/// @throws ShapeError if the embedding is missing, or unified_pos has no 2D structured_shape
/// @source Wu et al. 2024, arXiv:2402.02366
class Transolver : public Module {
 public:
  using Config = TransolverConfig;
  explicit Transolver(Config c);
  Tensor operator()(const Tensor& fx, const Tensor& embedding = {}, const Tensor& time = {}) const;

  /// Older files name the two layers of an MLP linear_pre and linear_post.
  LegacyKeys legacy_keys() const override;

 private:
  struct Block {
    Ref<LayerNorm> ln_1, ln_mlp1;
    Ref<PhysicsAttention> attention;
    Ref<Mlp> mlp;
  };
  Ref<Mlp> two_layers(const std::string& name, int64_t in, int64_t hidden, int64_t out);
  void make_blocks();

  Config config_;
  Tensor embedding_;  // [1, N, ref^2] with unified_pos
  Ref<Mlp> preprocess_;
  Ref<PositionalEmbedding> time_embed_;
  Ref<Linear> time_in_, time_out_;
  std::vector<Block> blocks_;
  Ref<LayerNorm> last_norm_;
  Ref<Linear> last_;
};

}  // namespace brume::nn
