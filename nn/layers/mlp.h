#pragma once

#include <optional>
#include <string>
#include <vector>

#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct MlpConfig {
  int64_t in_features = 0;
  std::optional<OneOrMany<int64_t>> hidden_features{};  // in_features
  std::optional<int64_t> out_features{};                // in_features
  std::string act_layer = "gelu";
  double drop = 0;
  bool final_dropout = true;
  bool bias = true;
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("in_features", in_features, required);
    v("hidden_features", hidden_features);
    v("out_features", out_features);
    v("act_layer", act_layer);
    v("drop", drop);
    v("final_dropout", final_dropout);
    v("bias", bias);
    v.ignored(ignored, {"use_te"});
  }
};

/// Linear layers with an activation and, if drop > 0, a dropout behind each but the last. Keys:
/// layers.<i>.*, where i counts activations and dropouts too, so that it depends on `drop`.
/// @shape x [..., in_features] -> [..., out_features]
class Mlp : public Module {
 public:
  using Config = MlpConfig;
  explicit Mlp(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor drop(Tensor x) const;
  std::vector<Ref<Linear>> linears_;
  std::vector<Ref<NamedActivation>> activations_;  // behind each linear layer but the last
  double drop_;
  bool final_dropout_;
};

}  // namespace brume::nn
