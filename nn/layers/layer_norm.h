#pragma once
// Norms over the last axis.

#include <brume/nn/module.h>

namespace brume::nn {

struct LayerNormConfig {
  int64_t width = 0;
  double eps = 1e-5;
  bool elementwise_affine = true;
};

/// (x - mean) / sqrt(var + eps) * weight + bias. @shape x [..., width] -> same
/// @source Ba et al. 2016, arXiv:1607.06450
class LayerNorm : public Module {
 public:
  using Config = LayerNormConfig;
  explicit LayerNorm(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  double eps_;
  Tensor weight_, bias_;  // [width] or undefined
};

/// x / sqrt(mean(x^2) + eps) * weight. @shape x [..., width] -> same
/// @source Zhang and Sennrich 2019, arXiv:1910.07467
class RmsNorm : public Module {
 public:
  using Config = LayerNormConfig;
  explicit RmsNorm(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  double eps_;
  Tensor weight_;  // [width] or undefined
};

}  // namespace brume::nn
