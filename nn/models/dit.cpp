#include <brume/nn/models/dit.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/resample.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// The supplied part as what it must be.
template <class Part>
Ref<Part> supplied(const NameOrModule& part, const char* field, const char* base) {
  const Ref<Part> found = part.module.as<Part>();
  check<Error>(static_cast<bool>(found), "DiT: ", field, " must be derived from ", base, ", but ",
               part.module->class_name(), " is not");
  return found;
}

[[noreturn]] void unknown(const char* field, const std::string& name, const char* known) {
  throw Error(cat("DiT: ", field, " '", name, "' is not known; known are ", known));
}

}  // namespace

Names names_of(LayerNormBackend) {
  static constexpr const char* kNames[] = {"torch", "apex"};
  return kNames;
}

DiT::DiT(Config c) : config_(std::move(c)) {
  check_range("DiT", "depth", config_.depth, 0);
  check_range("DiT", "hidden_size", config_.hidden_size, 1);
  check_range("DiT", "num_heads", config_.num_heads, 1);
  check<Error>(!config_.use_nan_mask_tokens || config_.attention_backend != AttentionBackend::timm,
               "DiT: use_nan_mask_tokens needs attention_backend natten2d or natten2d_rope");
  if (config_.attention_backend == AttentionBackend::natten2d_rope)
    config_.tokenizer_kwargs.pos_embed = "none";
  make_tokenizer();
  make_embedder();
  make_detokenizer();
  make_blocks();
  if (config_.dit_initialization && detail::draws_values()) initialize_weights();
}

void DiT::make_tokenizer() {
  const Config& k = config_;
  if (k.tokenizer.module) {
    tokenizer_ = child("tokenizer", supplied<Tokenizer>(k.tokenizer, "tokenizer", "Tokenizer"));
  } else {
    if (k.tokenizer.name != "patch_embed_2d")
      unknown("tokenizer", k.tokenizer.name, "patch_embed_2d");
    tokenizer_ =
        child<PatchEmbed2DTokenizer>("tokenizer", {.input_size = k.input_size,
                                                   .patch_size = k.patch_size,
                                                   .in_channels = k.in_channels,
                                                   .hidden_size = k.hidden_size,
                                                   .pos_embed = k.tokenizer_kwargs.pos_embed});
  }
  if (k.attention_backend != AttentionBackend::timm)
    latent_hw_ = PatchGrid(k.input_size, k.patch_size, "DiT").tokens;
}

void DiT::make_embedder() {
  const Config& k = config_;
  const std::string& name = k.conditioning_embedder.name;
  const int64_t condition_dim = k.condition_dim.value_or(0);
  if (k.conditioning_embedder.module)
    conditioning_embedder_ =
        child("conditioning_embedder",
              supplied<ConditioningEmbedder>(k.conditioning_embedder, "conditioning_embedder",
                                             "ConditioningEmbedder"));
  else if (name == "dit")
    conditioning_embedder_ =
        child<DiTConditionEmbedder>("conditioning_embedder", {.hidden_size = k.hidden_size,
                                                              .condition_dim = condition_dim,
                                                              .time = k.dit_embedder_kwargs});
  else if (name == "edm")
    conditioning_embedder_ = child<EDMConditionEmbedder>(
        "conditioning_embedder",
        {.options = k.edm_embedder_kwargs, .condition_dim = condition_dim});
  else if (name == "zero")
    conditioning_embedder_ =
        child<ZeroConditioningEmbedder>("conditioning_embedder", ZeroConditioningEmbedderConfig());
  else
    unknown("conditioning_embedder", name, "dit, edm, zero");
}

void DiT::make_detokenizer() {
  const Config& k = config_;
  const std::string& name = k.detokenizer.name;
  if (k.detokenizer.module) {
    detokenizer_ =
        child("detokenizer", supplied<Detokenizer>(k.detokenizer, "detokenizer", "Detokenizer"));
    return;
  }
  check(conditioning_embedder_->output_dim() == k.hidden_size,
        "DiT: the detokenizer wants an embedding of hidden_size ", k.hidden_size,
        ", but the conditioning_embedder gives ", conditioning_embedder_->output_dim());
  const ProjReshape2DDetokenizerConfig proj{.input_size = k.input_size,
                                            .patch_size = k.patch_size,
                                            .out_channels = k.out_channels.value_or(k.in_channels),
                                            .hidden_size = k.hidden_size};
  if (name == "proj_reshape_2d")
    detokenizer_ = child<ProjReshape2DDetokenizer>("detokenizer", proj);
  else if (name == "proj_reshape_2d_conv")
    detokenizer_ =
        child<ConvDetokenizer>("detokenizer", {.proj = proj, .head = k.detokenizer_kwargs});
  else
    unknown("detokenizer", name, "proj_reshape_2d, proj_reshape_2d_conv");
}

void DiT::make_blocks() {
  const Config& k = config_;
  const auto depth = static_cast<size_t>(k.depth);
  check(!k.drop_path_rates || k.drop_path_rates->size() == depth,
        "DiT: drop_path_rates must hold one rate for each of ", depth, " blocks");
  if (k.attention_backend == AttentionBackend::natten2d_rope)
    rope_ = child<RotaryEmbedding2DTables>("rope", {.head_dim = k.hidden_size / k.num_heads,
                                                    .latent_hw = latent_hw_,
                                                    .theta = k.attn_kwargs.rope_theta});
  DiTBlockConfig block{.hidden_size = k.hidden_size,
                       .num_heads = k.num_heads,
                       .mlp_ratio = k.mlp_ratio,
                       .condition_embed_dim = conditioning_embedder_->output_dim(),
                       .options = k.block_kwargs,
                       .attention = k.attn_kwargs};
  block.attention.backend = k.attention_backend;
  block.attention.use_mask_token |= k.use_nan_mask_tokens;
  for (size_t i = 0; i < depth; ++i) {
    if (k.drop_path_rates) block.drop_path = (*k.drop_path_rates)[i];
    blocks_.push_back(child<DiTBlock>(cat("blocks.", i), block));
  }
}

// All layers that are torch's own Linear in the reference; the map of a condition is not.
void DiT::initialize_weights() {
  for (const Named& m : modules()) {
    const auto* layer = dynamic_cast<const Linear*>(m.module);
    if (layer == nullptr || m.path.ends_with("cond_embedder")) continue;
    const auto out = static_cast<double>(layer->weight.size(0));
    const auto in = static_cast<double>(layer->weight.size(1));
    detail::redraw(layer->weight, Init::uniform(std::sqrt(6 / (in + out))));
    if (layer->bias.defined()) detail::redraw(layer->bias, Init::constant(0));
  }
  tokenizer_->initialize_weights();
  detokenizer_->initialize_weights();
  for (const Ref<DiTBlock>& block : blocks_) block->initialize_weights();
}

// A token is invalid where any of its pixels is.
Tensor DiT::invalid_tokens(const Tensor& invalid_mask) const {
  check(config_.use_nan_mask_tokens, "DiT: invalid_mask is for models with use_nan_mask_tokens");
  const PatchGrid grid(config_.input_size, config_.patch_size, "DiT");
  const auto [height, width] = grid.image;
  const Tensor mask = invalid_mask.rank() == 3 ? unsqueeze(invalid_mask, 1) : invalid_mask;
  check(mask.rank() == 4 && mask.size(1) == 1 && mask.size(2) == height && mask.size(3) == width,
        "DiT: invalid_mask must be [B, ", height, ", ", width, "] or [B, 1, ", height, ", ", width,
        "], but is ", invalid_mask.shape());
  const Tensor worst =
      max_pool(convert(mask, DType::f32), {.kernel = {grid.patch[0], grid.patch[1]}});
  return reshape(gt(worst, 0), {mask.size(0), -1});
}

Tensor DiT::operator()(const Tensor& x, const Tensor& t, const Tensor& condition,
                       const DiTCall& call) const {
  check(x.rank() >= 2 && t.shape() == Shape{x.size(0)}, "DiT: t must be [", x.size(0),
        "], one for each sample of x ", x.shape(), ", but is ", t.shape());
  const Tensor c = conditioning_embedder_->embed(t, condition);
  AttentionCall attention{
      .attn_mask = call.attn_mask, .latent_hw = latent_hw_, .fused = call.fused_attention};
  if (rope_) attention.rope_cos = rope_->rope_cos, attention.rope_sin = rope_->rope_sin;
  if (call.invalid_mask.defined()) attention.invalid_tokens = invalid_tokens(call.invalid_mask);
  const bool widens = config_.force_tokenization_fp32 && is_half(x.dtype());
  Tensor tokens = widens ? brume::to(tokenizer_->tokenize(brume::to(x, DType::f32)), x.dtype())
                         : tokenizer_->tokenize(x);
  for (const Ref<DiTBlock>& block : blocks_) tokens = block(tokens, c, attention, call.p_dropout);
  if (!widens) return detokenizer_->detokenize(tokens, c);
  return brume::to(detokenizer_->detokenize(brume::to(tokens, DType::f32), c), x.dtype());
}

LegacyKeys DiT::legacy_keys() const {
  return {.renamed = {{"t_embedder.", "conditioning_embedder.t_embedder."}},
          .dropped = {"t_embedder.freqs"}};
}

}  // namespace brume::nn
