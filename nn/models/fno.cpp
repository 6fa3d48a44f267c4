#include <brume/nn/models/fno.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

Names names_of(PaddingType) {
  static constexpr const char* kNames[] = {"constant", "reflect", "replicate", "circular"};
  return kNames;
}

namespace {

PadMode pad_mode(PaddingType type) {
  switch (type) {
    case PaddingType::constant:
      return PadMode::constant;
    case PaddingType::reflect:
      return PadMode::reflect;
    case PaddingType::replicate:
      return PadMode::replicate;
    case PaddingType::circular:
      return PadMode::circular;
  }
  return PadMode::constant;
}

}  // namespace

FNO::FNO(const Config& c)
    : dimension_(c.dimension), in_channels_(c.in_channels), coord_features_(c.coord_features) {
  check_range("FNO", "dimension", dimension_, 1, 4);
  check_range("FNO", "in_channels", c.in_channels, 1);
  check_range("FNO", "latent_channels", c.latent_channels, 2);
  check_range("FNO", "num_fno_layers", c.num_fno_layers, 0);
  check(dimension_ < 4 || c.padding_type == PaddingType::constant,
        "FNO: in 4 dimensions padding_type must be constant");
  const auto axes = static_cast<size_t>(dimension_);
  padding_ = c.padding.is_list() ? c.padding.values() : c.padding.expand(axes, "FNO: padding");
  padding_.resize(axes, 0);
  for (const int64_t p : padding_) check_range("FNO", "padding", p, 0, 1 << 20);
  pad_mode_ = pad_mode(c.padding_type);

  activation_ = child<NamedActivation>("activation_fn", {.name = c.activation_fn});
  decoder_net_ = child<FullyConnected>("decoder_net", {.in_features = c.latent_channels,
                                                       .layer_size = c.decoder_layer_size,
                                                       .out_features = c.out_channels,
                                                       .num_layers = c.decoder_layers,
                                                       .activation_fn = c.decoder_activation_fn});
  const std::string lift = "spec_encoder.lift_network.";
  const int64_t half = c.latent_channels / 2,
                in = c.in_channels + (coord_features_ ? dimension_ : 0);
  lift_in_ = lift_layer(lift + "0.conv", in, half);
  child(lift + "1", activation_);
  lift_out_ = lift_layer(lift + "2.conv", half, c.latent_channels);
  child("spec_encoder.activation_fn", activation_);
  // Drawn in turns, registered one kind after the other.
  const std::vector<int64_t> modes = c.num_fno_modes.expand(axes, "FNO: num_fno_modes");
  for (int64_t k = 0; k < c.num_fno_layers; ++k) {
    spconv_layers_.push_back(make_spectral_conv(c.latent_channels, c.latent_channels, modes));
    conv_layers_.push_back(point_layer(c.latent_channels, c.latent_channels));
  }
  for (size_t k = 0; k < spconv_layers_.size(); ++k)
    child(cat("spec_encoder.spconv_layers.", k), spconv_layers_[k]);
  for (size_t k = 0; k < conv_layers_.size(); ++k)
    child(cat("spec_encoder.conv_layers.", k, dimension_ == 4 ? ".conv" : ""), conv_layers_[k]);
}

// A linear map of each point. In 4 dimensions the reference stores it as one over a line of points.
Ref<ConvNd> FNO::point_layer(int64_t in, int64_t out) const {
  return make<ConvNd>(
      {.dimension = dimension_ == 4 ? 1 : dimension_, .in_channels = in, .out_channels = out});
}

Ref<ConvNd> FNO::lift_layer(const std::string& name, int64_t in, int64_t out) {
  const Ref<ConvNd> layer = point_layer(in, out);
  detail::redraw(layer->weight, Init::uniform(std::sqrt(6 / static_cast<double>(in + out))));
  detail::redraw(layer->bias, Init::constant(0));
  // The reference leaves these out of its optimisers, in this dimension only.
  if (dimension_ == 2) set_requires_grad(layer->bias, false);
  return child(dimension_ == 4 ? name + ".conv" : name, layer);
}

Tensor FNO::on_points(const ConvNd& layer, const Tensor& x, const Tensor& residual) const {
  if (dimension_ < 4) return layer(x, residual);
  const auto points = [](const Tensor& t) {
    return t.defined() ? reshape(t, {t.size(0), t.size(1), -1}) : t;
  };
  Shape shape = x.shape();
  const Tensor y = layer(points(x), points(residual));
  shape[1] = y.size(1);
  return reshape(y, shape);
}

Tensor FNO::with_coordinates(const Tensor& x) const {
  std::vector<Tensor> parts{x};
  for (int64_t a = 0; a < dimension_; ++a) {
    const int64_t n = x.size(a + 2);
    const double step = n > 1 ? 1 / static_cast<double>(n - 1) : 0;
    Shape along = Shape::filled(x.rank(), 1), whole = x.shape();
    along[static_cast<int>(a) + 2] = n;
    whole[1] = 1;
    const Tensor line = arange(0, n, step, {.dtype = x.dtype(), .device = x.device()});
    parts.push_back(expand(reshape(line, along), whole));
  }
  return cat(parts, 1);
}

Tensor FNO::operator()(const Tensor& x) const {
  check(x.rank() == dimension_ + 2 && x.size(1) == in_channels_, "FNO: wants [B, ", in_channels_,
        ", ", dimension_, " axes], got ", x.shape());
  Tensor h = on_points(*lift_in_, coord_features_ ? with_coordinates(x) : x);
  h = on_points(*lift_out_, activation_(h));
  std::vector<int64_t> amounts;
  for (size_t a = padding_.size(); a-- > 0;) amounts.insert(amounts.end(), {0, padding_[a]});
  h = pad_with(h, amounts, pad_mode_);
  for (size_t k = 0; k < conv_layers_.size(); ++k) {
    h = on_points(*conv_layers_[k], h, spconv_layers_[k](h));
    if (k + 1 < conv_layers_.size()) h = activation_(std::move(h));
  }
  for (int64_t a = 0; a < dimension_; ++a) h = slice(h, a + 2, 0, x.size(a + 2));
  Dims channels_last{0}, channels_first{0, dimension_ + 1};
  for (int64_t a = 0; a < dimension_; ++a) {
    channels_last.push_back(a + 2);
    channels_first.push_back(a + 1);
  }
  channels_last.push_back(1);
  return permute(decoder_net_(permute(h, channels_last)), channels_first);
}

}  // namespace brume::nn
