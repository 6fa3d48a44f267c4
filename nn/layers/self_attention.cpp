#include <brume/nn/layers/self_attention.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/layers/layer_norm.h>
#include <brume/nn/layers/rotary.h>

namespace brume::nn {
namespace {

// First place of the window of each place of an axis. With a dilation each residue class is an axis
// of its own.
std::vector<int64_t> window_starts(int64_t size, int64_t kernel, int64_t dilation) {
  check(kernel > 0 && kernel % 2 == 1 && dilation > 0 && kernel <= size / dilation,
        "Natten2DSelfAttention: attn_kernel must be odd and, times the dilation ", dilation,
        ", at most the grid's ", size, ", got ", kernel);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < size; ++i) {
    const int64_t residue = i % dilation, places = (size - residue + dilation - 1) / dilation;
    const int64_t first = std::clamp<int64_t>(i / dilation - kernel / 2, 0, places - kernel);
    starts.push_back(residue + first * dilation);
  }
  return starts;
}

// Dropout of the weights, which the fused kernel has not.
Tensor attention_with_dropout(const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionOptions& o, double p, Generator& rng) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  Tensor scores = matmul(q, transpose(k, 2, 3)) * scale;
  Tensor hidden = o.mask;
  if (o.causal) {
    const TensorOptions integers{.dtype = DType::i64, .device = q.device()};
    const Tensor rows = reshape(arange(0, q.size(2), 1, integers), {q.size(2), 1});
    hidden = ge(rows, arange(0, k.size(2), 1, integers));
  }
  if (hidden.defined())
    scores = hidden.dtype() == DType::boolean ? where(hidden, scores, -INFINITY) : scores + hidden;
  return matmul(dropout(softmax(scores), p, rng), v);
}

}  // namespace

Names names_of(AttentionBackend) {
  static constexpr const char* kNames[] = {"timm", "transformer_engine", "natten2d",
                                           "natten2d_rope"};
  return kNames;
}

void SelfAttention::make_qkv(const SelfAttentionConfig& c, const std::string& prefix) {
  check(c.hidden_size > 0 && c.num_heads > 0 && c.hidden_size % c.num_heads == 0,
        "SelfAttention: wants a hidden_size that is a multiple of num_heads, got ", c.hidden_size,
        " and ", c.num_heads);
  for (const double p : {c.options.attn_drop_rate, c.options.proj_drop_rate})
    check(p >= 0 && p < 1, "SelfAttention: a drop rate must be in [0, 1), got ", p);
  heads_ = c.num_heads;
  head_size_ = c.hidden_size / c.num_heads;
  attn_drop_ = c.options.attn_drop_rate;
  proj_drop_ = c.options.proj_drop_rate;
  const bool bias = c.options.backend == AttentionBackend::timm || c.options.qkv_bias;
  qkv_ = child<Linear>(prefix + "qkv",
                       LinearConfig::torch_default(c.hidden_size, 3 * c.hidden_size, bias));
}

void SelfAttention::make_proj(const SelfAttentionConfig& c, const std::string& prefix) {
  proj_ = child<Linear>(prefix + "proj", LinearConfig::torch_default(c.hidden_size, c.hidden_size));
}

Tensor SelfAttention::qkv(const Tensor& x) const {
  check(x.rank() == 3 && x.size(2) == heads_ * head_size_, "SelfAttention: wants [B, N, ",
        heads_ * head_size_, "], got ", x.shape());
  const Tensor y = reshape(qkv_(x), {x.size(0), x.size(1), 3, heads_, head_size_});
  return permute(y, {2, 0, 3, 1, 4});
}

Tensor SelfAttention::join(const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call, bool causal) const {
  const AttentionOptions options{.causal = causal, .mask = call.attn_mask, .fused = call.fused};
  if (!training() || attn_drop_ == 0) return project(attention(q, k, v, options));
  if (drops_result_) return project(dropout(attention(q, k, v, options), attn_drop_, generator()));
  return project(attention_with_dropout(q, k, v, options, attn_drop_, generator()));
}

Tensor SelfAttention::join(const Tensor& qkv, const AttentionCall& call, bool causal) const {
  if ((training() && attn_drop_ > 0) || requires_grad(call.attn_mask))
    return join(select(qkv, 0, 0), select(qkv, 0, 1), select(qkv, 0, 2), call, causal);
  return project(
      self_attention(qkv, {.causal = causal, .mask = call.attn_mask, .fused = call.fused}));
}

Tensor SelfAttention::project(const Tensor& y) const {
  const Shape joined{y.size(0), y.size(2), heads_ * head_size_};
  const Tensor out = proj_(reshape(permute(y, {0, 2, 1, 3}), joined));
  return training() && proj_drop_ > 0 ? dropout(out, proj_drop_, generator()) : out;
}

TimmSelfAttention::TimmSelfAttention(const Config& c) : causal_(c.options.is_causal) {
  make_qkv(c, "attn_op.");
  if (const auto& type = c.options.qk_norm_type) {
    const auto both = [&](auto norm, double eps) {
      using Norm = typename decltype(norm)::type;
      const LayerNormConfig config{head_size_, eps, c.options.qk_norm_affine};
      q_norm_ = child<Norm>("attn_op.q_norm", config);
      k_norm_ = child<Norm>("attn_op.k_norm", config);
      normalise_ = [](const Module& m, const Tensor& x) { return static_cast<const Norm&>(m)(x); };
    };
    check(*type == "RMSNorm" || *type == "LayerNorm",
          "TimmSelfAttention: qk_norm_type must be RMSNorm or LayerNorm, got '", *type, "'");
    if (*type == "RMSNorm")
      both(std::type_identity<RmsNorm>(), 1e-6);
    else
      both(std::type_identity<LayerNorm>(), 1e-5);
  }
  make_proj(c, "attn_op.");
}

Tensor TimmSelfAttention::attend(const Tensor& x, const AttentionCall& call) const {
  check(!causal_ || !call.attn_mask.defined(),
        "TimmSelfAttention: is_causal and attn_mask exclude each other");
  const Tensor all = qkv(x);
  if (!normalise_) return join(all, call, causal_);
  const Tensor q = normalise_(*q_norm_, select(all, 0, 0));
  const Tensor k = normalise_(*k_norm_, select(all, 0, 1));
  return join(q, k, select(all, 0, 2), call, causal_);
}

Natten2DSelfAttention::Natten2DSelfAttention(const Config& c)
    : kernel_(c.options.attn_kernel), qk_norm_(c.options.qk_norm) {
  drops_result_ = true;
  const auto dilation = c.options.na2d_kwargs.value_or(NeighbourhoodOptions{})
                            .dilation.expand(2, "Natten2DSelfAttention: dilation");
  dilation_ = {dilation[0], dilation[1]};
  if (c.options.use_mask_token)
    mask_token_ = param("mask_token", {1, 1, c.hidden_size}, Init::constant(0));
  make_qkv(c, "");
  make_proj(c, "");
}

Tensor Natten2DSelfAttention::with_mask_token(const Tensor& x, const Tensor& invalid) const {
  if (!invalid.defined()) return x;
  check(mask_token_.defined(),
        "Natten2DSelfAttention: invalid tokens are for an attention with use_mask_token");
  check(invalid.size(-1) == x.size(1) &&
            (invalid.rank() == 1 || (invalid.rank() == 2 && invalid.size(0) == x.size(0))),
        "Natten2DSelfAttention: invalid tokens must be [", x.size(1), "] or [", x.size(0), ", ",
        x.size(1), "], but are ", invalid.shape());
  const Tensor alpha = unsqueeze(convert(invalid, x.dtype()), invalid.rank());
  return x * (1 - alpha) + as_dtype(mask_token_, x) * alpha;
}

Tensor Natten2DSelfAttention::attend(const Tensor& x, const AttentionCall& call) const {
  const auto [h, w] = call.latent_hw;
  check(x.rank() == 3 && x.size(1) == h * w, "Natten2DSelfAttention: x is ", x.shape(),
        ", but latent_hw is ", h, " x ", w);
  check(!call.attn_mask.defined(), "Natten2DSelfAttention: takes no attn_mask");
  const Tensor all = qkv(with_mask_token(x, call.invalid_tokens));
  Tensor q = select(all, 0, 0), k = select(all, 0, 1);
  if (qk_norm_) q = layer_norm(q, {}, {}, 1e-6), k = layer_norm(k, {}, {}, 1e-6);
  if (call.rope_cos.defined()) {
    q = rotate_pairs(q, call.rope_cos, call.rope_sin);
    k = rotate_pairs(k, call.rope_cos, call.rope_sin);
  }
  AttentionCall within = call;
  within.attn_mask = mask_.on({h, w}, kernel_, dilation_, x.device());
  return join(q, k, select(all, 0, 2), within, false);
}

Tensor NeighbourhoodMask::on(std::array<int64_t, 2> grid, int64_t kernel,
                             std::array<int64_t, 2> dilation, Device device) {
  using Key = std::tuple<std::array<int64_t, 2>, int64_t, std::array<int64_t, 2>, DeviceType, int>;
  static std::mutex mutex;
  static std::map<Key, std::weak_ptr<const Tensor>> all;
  const std::lock_guard lock(mutex);
  std::weak_ptr<const Tensor>& shared = all[{grid, kernel, dilation, device.type, device.index}];
  if (const auto found = shared.lock()) {
    mine_ = found;
  } else {
    mine_ = std::make_shared<const Tensor>(
        transfer(neighbourhood_mask(grid, kernel, dilation), device));
    shared = mine_;
  }
  return *mine_;
}

Tensor neighbourhood_mask(std::array<int64_t, 2> grid, int64_t kernel,
                          std::array<int64_t, 2> dilation) {
  const auto [h, w] = grid;
  const auto [down, across] = dilation;
  const std::vector<int64_t> rows = window_starts(h, kernel, down),
                             columns = window_starts(w, kernel, across);
  const Tensor mask = zeros({h * w, h * w}, {.dtype = DType::boolean});
  const std::span<bool> sees = mask.host<bool>();
  for (int64_t i = 0; i < h * w; ++i) {
    const int64_t row = rows[static_cast<size_t>(i / w)],
                  column = columns[static_cast<size_t>(i % w)];
    for (int64_t r = row; r < row + kernel * down; r += down)
      for (int64_t c = column; c < column + kernel * across; c += across)
        sees[static_cast<size_t>((i * h + r) * w + c)] = true;
  }
  return mask;
}

}  // namespace brume::nn
