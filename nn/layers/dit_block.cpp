#include <brume/nn/layers/dit_block.h>

#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// x with elements zeroed with probability p [1] or [B], the rest scaled up. @shape x [B, ...]
Tensor dropout_per_sample(const Tensor& x, const Tensor& p, Generator& rng) {
  check(p.numel() == 1 || p.numel() == x.size(0),
        "PerSampleDropout: wants one probability or one for each of ", x.size(0), " samples, got ",
        p.shape());
  Shape column = Shape::filled(x.rank(), 1);
  column[0] = p.numel();
  const Tensor keep = reshape(clamp_min(1 - as_dtype(p, x), 1e-6), column);
  const Tensor draws = uniform(x.shape(), rng, {.dtype = x.dtype(), .device = x.device()});
  return x * (convert(lt(draws, keep), x.dtype()) / keep);
}

}  // namespace

DiTBlock::DiTBlock(const Config& c)
    : norm_eps_(c.options.norm_eps),
      drop_path_(c.drop_path),
      takes_dropout_(c.options.intermediate_dropout) {
  check(drop_path_ >= 0 && drop_path_ < 1, "DiTBlock: drop_path must be in [0, 1), got ",
        drop_path_);
  const SelfAttentionConfig attention{c.hidden_size, c.num_heads, c.attention};
  switch (c.attention.backend) {
    case AttentionBackend::timm:
      attention_ = child<TimmSelfAttention>("attention", attention);
      break;
    case AttentionBackend::natten2d:
    case AttentionBackend::natten2d_rope:
      attention_ = child<Natten2DSelfAttention>("attention", attention);
      break;
    case AttentionBackend::transformer_engine:
      throw Error(
          "DiTBlock: attention_backend transformer_engine is a library for GPUs whose "
          "parameters have other names; use timm");
  }
  const auto hidden = static_cast<int64_t>(static_cast<double>(c.hidden_size) * c.mlp_ratio);
  linear_ = child<Mlp>("linear", {.in_features = c.hidden_size,
                                  .hidden_features = OneOrMany<int64_t>(hidden),
                                  .act_layer = "gelu_tanh",
                                  .drop = c.options.mlp_drop_rate,
                                  .final_dropout = c.options.final_mlp_dropout});
  adaptive_modulation_ =
      child<Linear>("adaptive_modulation.1",
                    LinearConfig::torch_default(c.condition_embed_dim.value_or(c.hidden_size),
                                                6 * c.hidden_size));
}

Tensor DiTBlock::operator()(const Tensor& x, const Tensor& c, const AttentionCall& call,
                            const Tensor& p_dropout) const {
  check(takes_dropout_ || !p_dropout.defined(),
        "DiTBlock: p_dropout is for blocks with intermediate_dropout");
  // Of attention and MLP each: shift, scale, gate.
  const std::vector<Tensor> m = chunk(as_dtype(adaptive_modulation_(silu(c)), x), 6, 1);
  Tensor u = layer_norm_modulate(x, m[1], m[0], norm_eps_);
  if (training() && p_dropout.defined()) u = dropout_per_sample(u, p_dropout, generator());
  const Tensor h = gated_residual(x, drop_path(m[2]), attention_->attend(u, call));
  u = layer_norm_modulate(h, m[4], m[3], norm_eps_);
  return gated_residual(h, drop_path(m[5]), linear_(u));
}

// [B, D] -> [B, 1, D]
Tensor DiTBlock::drop_path(const Tensor& gate) const {
  const Tensor g = unsqueeze(gate, 1);
  if (!training() || drop_path_ == 0) return g;
  const Tensor draws = uniform({g.size(0), 1, 1}, generator(), {.device = g.device()});
  return g * (convert(ge(draws, drop_path_), g.dtype()) / (1 - drop_path_));
}

void DiTBlock::initialize_weights() {
  detail::redraw(adaptive_modulation_->weight, Init::constant(0));
  detail::redraw(adaptive_modulation_->bias, Init::constant(0));
}

Tensor PerSampleDropout::operator()(const Tensor& x, const Tensor& p) const {
  return training() ? dropout_per_sample(x, p, generator()) : x;
}

}  // namespace brume::nn
