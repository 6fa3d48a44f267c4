#include <brume/nn/models/transolver.h>

#include <cmath>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// Distances of each point of an h x w grid to each of a ref x ref grid, all on [0, 1]^2.
Tensor grid_distances(int64_t h, int64_t w, int64_t ref) {
  const auto place = [](int64_t i, int64_t n) {
    return n == 1 ? 0.0 : static_cast<double>(i) / static_cast<double>(n - 1);
  };
  std::vector<float> d;
  for (int64_t i = 0; i < h * w; ++i)
    for (int64_t j = 0; j < ref * ref; ++j)
      d.push_back(static_cast<float>(std::hypot(place(i / w, h) - place(j / ref, ref),
                                                place(i % w, w) - place(j % ref, ref))));
  return from_vector(d, {1, h * w, ref * ref});
}

}  // namespace

PhysicsAttention::PhysicsAttention(const Config& c) : config_(c) {
  check_range("Transolver", "n_hidden", c.width, 1);
  check_range("Transolver", "n_head", c.heads, 1);
  check_range("Transolver", "slice_num", c.slices, 1);
  check(c.width % c.heads == 0, "Transolver: n_hidden must be a multiple of n_head, got ", c.width,
        " and ", c.heads);
  const int64_t head = c.width / c.heads;
  temperature_ = param("temperature", {1, 1, c.heads, 1}, Init::constant(0.5));
  to_slice_ = child<Linear>("in_project_slice", LinearConfig::torch_default(head, c.slices));
  // The reference makes these weights orthogonal, before a Transolver draws them anew.
  if (detail::draws_values()) detail::initial_tensor(to_slice_->weight.shape(), Init::normal(1));
  qkv_project_ = child<Linear>("qkv_project", LinearConfig::torch_default(head, 3 * head, false));
  out_linear_ = child<Linear>("out_linear", LinearConfig::torch_default(c.width, c.width));
  const auto dimension = static_cast<int64_t>(c.structured_shape.size());
  const auto projection = [&](const char* name, Ref<Linear>& linear, Ref<ConvNd>& conv) {
    if (dimension == 0)
      linear = child<Linear>(name, LinearConfig::torch_default(c.width, c.width));
    else
      conv = child<ConvNd>(name, {.dimension = dimension,
                                  .in_channels = c.width,
                                  .out_channels = c.width,
                                  .kernel = 3,
                                  .padding = 1});
  };
  projection("in_project_x", to_x_, conv_to_x_);
  projection("in_project_fx", to_fx_, conv_to_fx_);
}

// [B, N, width] -> [B, heads, N, head size]
Tensor PhysicsAttention::project(const Ref<Linear>& linear, const Ref<ConvNd>& conv,
                                 const Tensor& x) const {
  const int64_t b = x.size(0), n = x.size(1), width = x.size(2);
  Tensor y;
  if (linear) {
    y = linear(x);
  } else {
    Dims grid{b}, channels_first{0}, channels_last{0};
    const auto axes = static_cast<int64_t>(config_.structured_shape.size());
    channels_first.push_back(axes + 1);
    for (int64_t a = 0; a < axes; ++a) {
      grid.push_back(config_.structured_shape[static_cast<size_t>(a)]);
      channels_first.push_back(a + 1);
      channels_last.push_back(a + 2);
    }
    grid.push_back(width);
    channels_last.push_back(1);
    y = permute(conv(permute(reshape(x, grid), channels_first)), channels_last);
  }
  return permute(reshape(y, {b, n, config_.heads, width / config_.heads}), {0, 2, 1, 3});
}

Tensor PhysicsAttention::operator()(const Tensor& x) const {
  const int64_t b = x.size(0), n = x.size(1), width = x.size(2);
  const Tensor xm = project(to_x_, conv_to_x_, x), fm = project(to_fx_, conv_to_fx_, x);
  const Tensor temperature = permute(clamp(as_dtype(temperature_, x), 0.5, 5), {0, 2, 1, 3});
  const Tensor w = softmax(to_slice_(xm) / temperature);  // [B, heads, N, slices]
  const Tensor share = w / (sum(w, 2, keep_axis) + 0.01);
  const Tensor tokens = matmul(transpose(share, 2, 3), fm);  // [B, heads, slices, head size]
  const std::vector<Tensor> qkv = chunk(qkv_project_(tokens), 3, 3);
  const Tensor attended = attention(qkv[0], qkv[1], qkv[2]);
  const Tensor y = reshape(permute(matmul(w, attended), {0, 2, 1, 3}), {b, n, width});
  const Tensor out = out_linear_(y);
  return training() && config_.dropout > 0 ? dropout(out, config_.dropout, generator()) : out;
}

Transolver::Transolver(Config c) : config_(std::move(c)) {
  const Config& k = config_;
  check<Error>(!k.plus, "Transolver: plus is not supported");
  check_range("Transolver", "functional_dim", k.functional_dim, 1);
  check_range("Transolver", "out_dim", k.out_dim, 1);
  check_range("Transolver", "n_layers", k.n_layers, 1);
  check_range("Transolver", "mlp_ratio", k.mlp_ratio, 1);
  check(k.dropout >= 0 && k.dropout < 1, "Transolver: dropout must be in [0, 1), got ", k.dropout);
  int64_t embedding_dim = k.embedding_dim.value_or(0);
  if (k.structured_shape) {
    check(k.structured_shape->size() == 2 || k.structured_shape->size() == 3,
          "Transolver: structured_shape wants 2 or 3 sizes, got ", k.structured_shape->size());
    for (const int64_t size : *k.structured_shape)
      check(size > 0 && size < (1 << 16), "Transolver: structured_shape holds ", size);
  }
  if (k.unified_pos) {
    check(k.structured_shape && k.structured_shape->size() == 2,
          "Transolver: unified_pos wants a structured_shape of 2 sizes");
    check_range("Transolver", "ref", k.ref, 1, 1 << 10);
    const std::vector<int64_t>& size = *k.structured_shape;
    embedding_dim = k.ref * k.ref;
    check(size[0] * size[1] <= (int64_t{1} << 30) / embedding_dim,
          "Transolver: the embedding of this structured_shape is too large");
    embedding_ =
        buffer("embedding", {1, size[0] * size[1], embedding_dim},
               [h = size[0], w = size[1], ref = k.ref] { return grid_distances(h, w, ref); });
  } else {
    check(embedding_dim > 0, "Transolver: embedding_dim is needed without unified_pos");
  }
  preprocess_ =
      two_layers("preprocess", k.functional_dim + embedding_dim, 2 * k.n_hidden, k.n_hidden);
  if (k.time_input) {
    time_embed_ = child<PositionalEmbedding>("time_embed", {.num_channels = k.n_hidden});
    time_in_ = child<Linear>("time_fc.0", LinearConfig::torch_default(k.n_hidden, k.n_hidden));
    time_out_ = child<Linear>("time_fc.2", LinearConfig::torch_default(k.n_hidden, k.n_hidden));
  }
  make_blocks();
  for (const Named& m : modules()) {
    const auto* layer = dynamic_cast<const Linear*>(m.module);
    if (layer == nullptr) continue;
    detail::redraw(layer->weight, Init::truncated_normal(0.02));
    if (layer->bias.defined()) detail::redraw(layer->bias, Init::constant(0));
  }
}

Ref<Mlp> Transolver::two_layers(const std::string& name, int64_t in, int64_t hidden, int64_t out) {
  return child<Mlp>(name, {.in_features = in,
                           .hidden_features = OneOrMany<int64_t>(hidden),
                           .out_features = out,
                           .act_layer = config_.act});
}

void Transolver::make_blocks() {
  const Config& k = config_;
  for (int64_t i = 0; i < k.n_layers; ++i) {
    const std::string at = cat("blocks.", i, ".");
    Block block;
    block.ln_1 = child<LayerNorm>(at + "ln_1", {.width = k.n_hidden});
    block.attention = child<PhysicsAttention>(
        at + "Attn", {.width = k.n_hidden,
                      .heads = k.n_head,
                      .slices = k.slice_num,
                      .dropout = k.dropout,
                      .structured_shape = k.structured_shape.value_or(std::vector<int64_t>())});
    block.ln_mlp1 = child<LayerNorm>(at + "ln_mlp1.0", {.width = k.n_hidden});
    block.mlp = two_layers(at + "ln_mlp1.1", k.n_hidden, k.n_hidden * k.mlp_ratio, k.n_hidden);
    blocks_.push_back(std::move(block));
    if (i + 1 < k.n_layers) continue;
    last_norm_ = child<LayerNorm>(at + "ln_mlp2.0", {.width = k.n_hidden});
    last_ = child<Linear>(at + "ln_mlp2.1", LinearConfig::torch_default(k.n_hidden, k.out_dim));
  }
}

Tensor Transolver::operator()(const Tensor& fx, const Tensor& embedding, const Tensor& time) const {
  const Config& k = config_;
  check(fx.rank() >= 3 && fx.size(-1) == k.functional_dim, "Transolver: fx must be [B, ..., ",
        k.functional_dim, "], but is ", fx.shape());
  const Tensor points = reshape(fx, {fx.size(0), -1, k.functional_dim});
  const int64_t b = points.size(0), n = points.size(1);
  const Tensor& e = embedding_.defined() ? embedding_ : embedding;
  check(e.defined(), "Transolver: the embedding is missing");
  const Tensor places = reshape(e, {e.size(0), -1, e.size(-1)});
  check(places.size(1) == n && (places.size(0) == b || places.size(0) == 1),
        "Transolver: the embedding ", e.shape(), " does not fit fx ", fx.shape());
  Tensor h = preprocess_(cat({expand(as_dtype(places, points), {b, -1, -1}), points}, 2));
  check(!time.defined() || time_embed_, "Transolver: got a time, but has no time_input");
  if (time.defined()) h = h + unsqueeze(time_out_(silu(time_in_(time_embed_(time)))), 1);
  for (const Block& block : blocks_) {
    h = h + block.attention(block.ln_1(h));
    h = h + block.mlp(block.ln_mlp1(h));
  }
  Shape shape = fx.shape();
  shape[shape.rank() - 1] = k.out_dim;
  return reshape(last_(last_norm_(h)), shape);
}

LegacyKeys Transolver::legacy_keys() const {
  LegacyKeys keys;
  std::vector<std::string> mlps{"preprocess."};
  for (size_t i = 0; i < blocks_.size(); ++i) mlps.push_back(cat("blocks.", i, ".ln_mlp1.1."));
  for (const std::string& mlp : mlps) {
    keys.renamed.emplace_back(mlp + "linear_pre.0.", mlp + "layers.0.");
    keys.renamed.emplace_back(mlp + "linear_pre.", mlp + "layers.0.");
    keys.renamed.emplace_back(mlp + "linear_post.", mlp + "layers.2.");
  }
  return keys;
}

}  // namespace brume::nn
