#pragma once

#include <vector>

#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/linear.h>
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

/// Linear layers with activations between them. Keys: layers.<i>.linear.*, final_layer.linear.*
/// @shape  x [..., in_features] -> [..., out_features]
/// @throws Error on the arguments of the reference that this version does not have yet:
///         adaptive_activations, weight_norm, weight_fact, and activations with parameters
class FullyConnected : public Module {
 public:
  using Config = FullyConnectedConfig;
  explicit FullyConnected(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Ref<Linear> layer(const std::string& name, int64_t in, int64_t out);
  int64_t in_features_;
  std::vector<Ref<Linear>> layers_;
  std::vector<Activation> activations_;
  Ref<Linear> final_layer_;
  bool skip_connections_;
};

}  // namespace brume::nn
