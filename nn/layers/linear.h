#pragma once

#include <brume/nn/module.h>

namespace brume::nn {

struct LinearConfig {
  int64_t in_features = 0, out_features = 0;
  bool bias = true;
  InitMode init_mode = InitMode::kaiming_normal;
  double init_weight = 1, init_bias = 0;
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("in_features", in_features, required);
    v("out_features", out_features, required);
    v("bias", bias);
    v("init_mode", init_mode);
    v("init_weight", init_weight);
    v("init_bias", init_bias);
    v.ignored(ignored, {"amp_mode"});
  }

  /// With the initial values of PyTorch's own layer.
  static LinearConfig torch_default(int64_t in_features, int64_t out_features, bool bias = true) {
    return {in_features, out_features, bias, InitMode::fan_in_uniform, 1, 1};
  }
};

/// x W^T + b over the last axis, in x's dtype; b alone where there are no in_features.
/// @shape x [..., in_features] -> [..., out_features]
class Linear : public Module {
 public:
  using Config = LinearConfig;
  explicit Linear(const Config& c);
  Tensor operator()(const Tensor& x) const;

  Tensor weight, bias;  // [out, in], [out] or undefined
};

}  // namespace brume::nn
