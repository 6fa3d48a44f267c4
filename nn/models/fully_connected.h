#pragma once

#include <vector>

#include <brume/nn/layers/fc_layer.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct FullyConnectedConfig {
  int64_t in_features = 512, layer_size = 512, out_features = 512;
  int64_t num_layers = 6;                                      // hidden ones
  OneOrMany<std::string> activation_fn = std::string("silu");  // a shorter list repeats its last
  bool skip_connections = false;
  bool adaptive_activations = false, weight_norm = false, weight_fact = false;

  template <class V>
  void fields(V& v) {
    v("in_features", in_features);
    v("layer_size", layer_size);
    v("out_features", out_features);
    v("num_layers", num_layers);
    v("activation_fn", activation_fn);
    v("skip_connections", skip_connections);
    v("adaptive_activations", adaptive_activations);
    v("weight_norm", weight_norm);
    v("weight_fact", weight_fact);
  }
};

/// Linear layers with activations between them. skip_connections adds to every second layer the one
/// before it among these; adaptive_activations trains one slope for all; weight_norm and
/// weight_fact store matrices in factors. Keys: layers.<i>.linear.*, final_layer.linear.*, and
/// those of FCLayer.
/// @shape  x [..., in_features] -> [..., out_features]
/// @throws ShapeError if both weight_norm and weight_fact are asked for
class FullyConnected : public Module {
 public:
  using Config = FullyConnectedConfig;
  explicit FullyConnected(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t in_features_;
  std::vector<Ref<FCLayer>> layers_;
  Ref<FCLayer> final_layer_;
  bool skip_connections_;
};

}  // namespace brume::nn
