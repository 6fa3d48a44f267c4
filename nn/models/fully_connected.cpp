#include <brume/nn/models/fully_connected.h>

#include <algorithm>

#include <brume/autograd/node.h>

namespace brume::nn {

FullyConnected::FullyConnected(const Config& c)
    : in_features_(c.in_features), skip_connections_(c.skip_connections) {
  check(c.num_layers >= 1, "FullyConnected: num_layers must be at least 1, got ", c.num_layers);
  check(!(c.weight_norm && c.weight_fact),
        "FullyConnected: weight_norm and weight_fact exclude each other");
  const std::vector<std::string>& names = c.activation_fn.values();
  check(!names.empty(), "FullyConnected: activation_fn is an empty list");
  FCLayerConfig layer{.in_features = c.in_features, .out_features = c.layer_size};
  if (c.weight_norm) layer.form = WeightForm::norm;
  if (c.weight_fact) layer.form = WeightForm::factored;
  if (c.adaptive_activations)
    layer.slope = set_requires_grad(detail::initial_tensor({1}, Init::constant(1)));
  for (int64_t i = 0; i < c.num_layers; ++i) {
    layer.activation = names[std::min(static_cast<size_t>(i), names.size() - 1)];
    layers_.push_back(child<FCLayer>(cat("layers.", i), layer));
    layer.in_features = c.layer_size;
  }
  final_layer_ =
      child<FCLayer>("final_layer", {.in_features = c.layer_size, .out_features = c.out_features});
}

Tensor FullyConnected::operator()(const Tensor& x) const {
  check(x.rank() >= 2 && x.size(-1) == in_features_, "FullyConnected: wants x of shape [..., ",
        in_features_, "], got ", x.shape());
  Tensor h = x, stored;
  for (size_t i = 0; i < layers_.size(); ++i) {
    h = layers_[i](h);
    if (skip_connections_ && i % 2 == 0) {
      // What is stored is the layer's result before the addition.
      const Tensor before = h;
      if (stored.defined()) h = h + stored;
      stored = before;
    }
  }
  return final_layer_(h);
}

}  // namespace brume::nn
