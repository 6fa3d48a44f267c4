#pragma once

#include <brume/nn/module.h>

namespace brume::nn {

struct BatchNormConfig {
  int64_t num_features = 0;
  double eps = 1e-5, momentum = 0.1;
};

/// (x - mean) / sqrt(var + eps) * weight + bias per channel: in training mode with the batch's
/// statistics, which also move the running ones; in evaluation mode with those.
/// @shape  x [B, num_features, ...] -> same
/// @source Ioffe and Szegedy 2015, arXiv:1502.03167
class BatchNorm : public Module {
 public:
  using Config = BatchNormConfig;
  explicit BatchNorm(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Config config_;
  Tensor weight_, bias_, running_mean_, running_var_, num_batches_tracked_;
};

}  // namespace brume::nn
