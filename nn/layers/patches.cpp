#include <brume/nn/layers/patches.h>

#include <cmath>
#include <string_view>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/nearest.h>

namespace brume::nn {

PatchGrid::PatchGrid(const OneOrMany<int64_t>& sizes, const OneOrMany<int64_t>& patch_size,
                     const std::string& who, const char* field) {
  const std::vector<int64_t> size = sizes.expand(2, cat(who, ": ", field));
  const std::vector<int64_t> p = patch_size.expand(2, who + ": patch_size");
  for (size_t a = 0; a < 2; ++a) {
    check_range(who, field, size[a], 1, 1 << 24);
    check_range(who, "patch_size", p[a], 1, 1 << 24);
    check(size[a] % p[a] == 0, who, ": ", field, " must be a multiple of patch_size, got ", size[a],
          " and ", p[a]);
    image[a] = size[a];
    patch[a] = p[a];
    tokens[a] = size[a] / p[a];
  }
}

PatchEmbed::PatchEmbed(const Config& c) : grid_(c.grid), channels_(c.in_channels) {
  check(c.in_channels > 0 && c.width > 0,
        "PatchEmbed: the channels and the width of a token must be positive, got ", c.in_channels,
        " and ", c.width);
  const Shape shape{c.width, c.in_channels, grid_.patch[0], grid_.patch[1]};
  const Init init = Init::fan(InitMode::fan_in_uniform, numel(shape) / c.width, 1);
  weight_ = param("proj.weight", shape, init);
  bias_ = param("proj.bias", {c.width}, init);
}

Tensor PatchEmbed::operator()(const Tensor& x) const {
  const auto& [image, patch, tokens] = grid_;
  check(x.rank() == 4 && x.size(1) == channels_ && x.size(2) == image[0] && x.size(3) == image[1],
        "PatchEmbed: wants [B, ", channels_, ", ", image[0], ", ", image[1], "], got ", x.shape());
  const int64_t b = x.size(0);
  // A convolution whose stride is its kernel is a linear map of patches.
  Tensor y = reshape(x, {b, channels_, tokens[0], patch[0], tokens[1], patch[1]});
  y = reshape(permute(y, {0, 2, 4, 1, 3, 5}), {b, grid_.count(), channels_ * grid_.patch_area()});
  return linear(y, as_dtype(reshape(weight_, {weight_.size(0), -1}), x), as_dtype(bias_, x));
}

void PatchEmbed::initialize_weights() {
  const auto out = static_cast<double>(weight_.size(0));
  const auto in = static_cast<double>(weight_.numel()) / out;
  detail::redraw(weight_, Init::uniform(std::sqrt(6 / (in + out))));
  detail::redraw(bias_, Init::constant(0));
}

Tensor image_of_patches(const Tensor& tokens, const PatchGrid& grid, int64_t channels) {
  const auto& [image, patch, count] = grid;
  check(tokens.rank() == 3 && tokens.size(1) == grid.count(), "image_of_patches: wants [B, ",
        grid.count(), ", D], got ", tokens.shape());
  const int64_t b = tokens.size(0);
  const Tensor y = reshape(tokens, {b, count[0], count[1], patch[0], patch[1], channels});
  return reshape(permute(y, {0, 5, 1, 3, 2, 4}), {b, channels, image[0], image[1]});
}

PatchEmbed2DTokenizer::PatchEmbed2DTokenizer(const Config& c) {
  const PatchGrid grid(c.input_size, c.patch_size, "PatchEmbed2DTokenizer");
  static constexpr std::string_view kKinds[] = {"learnable", "none"};
  const std::string kind = c.pos_embed.value_or("none");
  check<Error>(kind == kKinds[0] || kind == kKinds[1], "PatchEmbed2DTokenizer: pos_embed '", kind,
               "' is not known", suggestion(kind, kKinds));
  if (kind == kKinds[0])
    pos_embed_ = param("pos_embed", {1, grid.count(), c.hidden_size}, Init::constant(0));
  x_embedder_ = child<PatchEmbed>(
      "x_embedder", {.grid = grid, .in_channels = c.in_channels, .width = c.hidden_size});
}

Tensor PatchEmbed2DTokenizer::tokenize(const Tensor& x) const {
  const Tensor y = x_embedder_(x);
  return pos_embed_.defined() ? y + as_dtype(pos_embed_, y) : y;
}

void PatchEmbed2DTokenizer::initialize_weights() {
  x_embedder_->initialize_weights();
  if (pos_embed_.defined()) detail::redraw(pos_embed_, Init::normal(0.02));
}

ProjLayer::ProjLayer(const Config& c) {
  output_projection_ = child<Linear>("output_projection",
                                     LinearConfig::torch_default(c.hidden_size, c.emb_channels));
  adaptive_modulation_ = child<Linear>(
      "adaptive_modulation.1", LinearConfig::torch_default(c.hidden_size, 2 * c.hidden_size));
}

Tensor ProjLayer::operator()(const Tensor& x, const Tensor& c) const {
  const std::vector<Tensor> m = chunk(as_dtype(adaptive_modulation_(silu(c)), x), 2, 1);
  return output_projection_(layer_norm_modulate(x, m[1], m[0], 1e-6));  // the shift stands first
}

void ProjLayer::initialize_weights() {
  for (const Tensor& x : {output_projection_->weight, output_projection_->bias,
                          adaptive_modulation_->weight, adaptive_modulation_->bias})
    detail::redraw(x, Init::constant(0));
}

ProjReshape2DDetokenizer::ProjReshape2DDetokenizer(const Config& c)
    : grid_(c.input_size, c.patch_size, "ProjReshape2DDetokenizer"), channels_(c.out_channels) {
  check(channels_ > 0, "ProjReshape2DDetokenizer: out_channels must be positive, got ", channels_);
  proj_layer_ = child<ProjLayer>(
      "proj_layer", {.hidden_size = c.hidden_size, .emb_channels = grid_.patch_area() * channels_});
}

Tensor ProjReshape2DDetokenizer::detokenize(const Tensor& tokens, const Tensor& c) const {
  return image_of_patches(proj_layer_(tokens, c), grid_, channels_);
}

ConvDetokenizer::ConvDetokenizer(const Config& c) {
  const ConvHeadOptions& head = c.head;
  check(head.conv_layers >= 1, "ConvDetokenizer: conv_layers must be at least 1, got ",
        head.conv_layers);
  proj_ = child<ProjReshape2DDetokenizer>("proj", c.proj);
  for (int64_t i = 0; i < head.conv_layers; ++i) {
    const bool last = i == head.conv_layers - 1;
    conv_head_.push_back(child<ConvNd>(
        cat("conv_head.", 2 * i), {.in_channels = i == 0 ? c.proj.out_channels : head.conv_hidden,
                                   .out_channels = last ? c.proj.out_channels : head.conv_hidden,
                                   .kernel = head.conv_kernel,
                                   .padding = head.conv_kernel / 2}));
  }
}

Tensor ConvDetokenizer::detokenize(const Tensor& tokens, const Tensor& c) const {
  const Tensor image = proj_->detokenize(tokens, c);
  Tensor h = image;
  for (size_t i = 0; i < conv_head_.size(); ++i) h = conv_head_[i](i == 0 ? h : gelu(h));
  return image + h;
}

void ConvDetokenizer::initialize_weights() {
  proj_->initialize_weights();
  detail::redraw(conv_head_.back()->weight, Init::constant(0));
  detail::redraw(conv_head_.back()->bias, Init::constant(0));
}

}  // namespace brume::nn
