#include <brume/nn/layers/conv_blocks.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// By how much an axis of n is padded in all, so that ceil(n / stride) places come out.
int64_t same_padding(int64_t n, const ConvLayerConfig& c) {
  const int64_t out = (n + c.stride - 1) / c.stride;
  return std::max<int64_t>((out - 1) * c.stride + c.kernel_size - n, 0);
}

void check_layer(const Tensor& x, const ConvLayerConfig& c, const char* who) {
  check(x.rank() == c.dimension + 2 && x.size(1) == c.in_channels, who, ": wants [B, ",
        c.in_channels, ", ", c.dimension, " axes], got ", x.shape());
}

// xavier_uniform and no bias, after PyTorch's own values were drawn.
template <class Conv>
void start_as_xavier(const Conv& conv) {
  const int64_t fans = (conv.weight.size(0) + conv.weight.size(1)) *
                       (conv.weight.numel() / conv.weight.size(0)) / conv.weight.size(1);
  detail::redraw(conv.weight, Init::uniform(std::sqrt(6 / static_cast<double>(fans))));
  detail::redraw(conv.bias, Init::constant(0));
}

}  // namespace

ConvLayer::ConvLayer(const Config& c) : config_(c) {
  check(c.stride > 0, "ConvLayer: stride must be positive, got ", c.stride);
  conv_ = child<ConvNd>("conv", {.dimension = c.dimension,
                                 .in_channels = c.in_channels,
                                 .out_channels = c.out_channels,
                                 .kernel = c.kernel_size,
                                 .stride = c.stride});
  start_as_xavier(*conv_);
  activation_ = child<NamedActivation>("activation_fn", {.name = c.activation_fn});
}

Tensor ConvLayer::operator()(const Tensor& x) const {
  check_layer(x, config_, "ConvLayer");
  std::vector<int64_t> amounts;
  for (int64_t a = x.rank() - 1; a >= 2; --a) {
    const int64_t all = same_padding(x.size(a), config_);
    amounts.insert(amounts.end(), {all / 2, all - all / 2});
  }
  return activation_(conv_(pad(x, amounts)));
}

TransposeConvLayer::TransposeConvLayer(const Config& c) : config_(c) {
  check(c.stride > 0, "TransposeConvLayer: stride must be positive, got ", c.stride);
  trans_conv_ = child<ConvTransposeNd>("trans_conv", {.dimension = c.dimension,
                                                      .in_channels = c.in_channels,
                                                      .out_channels = c.out_channels,
                                                      .kernel = c.kernel_size,
                                                      .stride = c.stride});
  start_as_xavier(*trans_conv_);
  activation_ = child<NamedActivation>("activation_fn", {.name = c.activation_fn});
}

Tensor TransposeConvLayer::operator()(const Tensor& x) const {
  check_layer(x, config_, "TransposeConvLayer");
  Tensor y = activation_(trans_conv_(x));
  for (int64_t a = 2; a < x.rank(); ++a) {
    const int64_t all = same_padding(x.size(a), config_);
    y = slice(y, a, all / 2, y.size(a) - (all - all / 2));
  }
  return y;
}

ConvGRULayer::ConvGRULayer(const Config& c) {
  const auto gate = [&](const char* name, int64_t out) {
    return child<ConvLayer>(name, {.in_channels = c.in_features + c.hidden_size,
                                   .out_channels = out,
                                   .kernel_size = 3,
                                   .dimension = c.dimension});
  };
  conv_1_ = gate("conv_1", 2 * c.hidden_size);
  conv_2_ = gate("conv_2", c.hidden_size);
  activation_ = child<NamedActivation>("activation_fn", {.name = c.activation_fn});
}

Tensor ConvGRULayer::operator()(const Tensor& x, const Tensor& hidden) const {
  const std::vector<Tensor> gates = chunk(sigmoid(conv_1_(cat({x, hidden}, 1))), 2, 1);
  const Tensor candidate = activation_(conv_2_(cat({x, hidden * gates[0]}, 1)));
  return lerp(candidate, hidden, gates[1]);  // (1 - update) candidate + update hidden
}

template <int kD>
ConvFCLayer<kD>::ConvFCLayer(const Config& c) : slope_(c.activation_par.value()) {
  check<Error>(!c.weight_norm, "Conv", kD, "dFCLayer: weight_norm is for layers without a grid");
  if (c.activation_par.shared.defined()) param("activation_par", slope_);
  conv_ = child<ConvNd>(
      "conv", {.dimension = kD, .in_channels = c.in_features, .out_channels = c.out_features});
  start_as_xavier(*conv_);
  if (kD == 2) set_requires_grad(conv_->bias, false);
  activation_ =
      child<NamedActivation>("activation_fn", {.name = c.activation_fn.value_or("identity")});
}

ConvNdFCLayer::ConvNdFCLayer(const Config& c) : slope_(c.activation_par.value()) {
  if (c.activation_par.shared.defined()) param("activation_par", slope_);
  conv_ = child<ConvNd>(
      "conv.conv", {.dimension = 1, .in_channels = c.in_features, .out_channels = c.out_features});
  start_as_xavier(*conv_);
  activation_ =
      child<NamedActivation>("activation_fn", {.name = c.activation_fn.value_or("identity")});
}

Tensor ConvNdFCLayer::operator()(const Tensor& x) const {
  check(x.rank() >= 2 && x.size(1) == conv_->weight.size(1), "ConvNdFCLayer: wants [B, ",
        conv_->weight.size(1), ", ...], got ", x.shape());
  Shape shape = x.shape();
  shape[1] = conv_->weight.size(0);
  const Tensor y = conv_(reshape(x, {x.size(0), x.size(1), -1}));
  return activation_(with_slope(slope_, reshape(y, shape)));
}

template class ConvFCLayer<1>;
template class ConvFCLayer<2>;
template class ConvFCLayer<3>;

}  // namespace brume::nn
