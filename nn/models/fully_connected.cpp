#include <brume/nn/models/fully_connected.h>

#include <algorithm>

namespace brume::nn {

FullyConnected::FullyConnected(const Config& c)
    : in_features_(c.in_features), skip_connections_(c.skip_connections) {
  check(c.num_layers >= 1, "FullyConnected: num_layers must be at least 1, got ", c.num_layers);
  check<Error>(
      !c.adaptive_activations && !c.weight_norm && !c.weight_fact,
      "FullyConnected: adaptive_activations, weight_norm and weight_fact are not supported");
  const std::vector<std::string>& names = c.activation_fn.values();
  check(!names.empty(), "FullyConnected: activation_fn is an empty list");
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const int64_t in = i == 0 ? c.in_features : c.layer_size;
    layers_.push_back(layer(cat("layers.", i, ".linear"), in, c.layer_size));
    const size_t place = std::min(static_cast<size_t>(i), names.size() - 1);
    activations_.push_back(activation_by_name(names[place]));
  }
  final_layer_ = layer("final_layer.linear", c.layer_size, c.out_features);
}

Ref<Linear> FullyConnected::layer(const std::string& name, int64_t in, int64_t out) {
  return child<Linear>(name, {.in_features = in,
                              .out_features = out,
                              .init_mode = InitMode::xavier_uniform,
                              .init_bias = 0});
}

Tensor FullyConnected::operator()(const Tensor& x) const {
  check(x.rank() >= 2 && x.size(-1) == in_features_, "FullyConnected: wants x of shape [..., ",
        in_features_, "], got ", x.shape());
  Tensor h = x, stored;
  for (size_t i = 0; i < layers_.size(); ++i) {
    h = layers_[i](h);
    if (activations_[i]) h = activations_[i](std::move(h));
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
