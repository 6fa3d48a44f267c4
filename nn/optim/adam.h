#pragma once
// Adam and AdamW, with PyTorch's semantics.

#include <array>

#include <brume/nn/optim/optimizer.h>

namespace brume::nn {

struct AdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8, weight_decay = 0;
  bool amsgrad = false, maximize = false;
  bool decoupled_weight_decay = false;
};

/// @source Kingma and Ba 2014, arXiv:1412.6980; amsgrad: Reddi et al. 2018, arXiv:1904.09237
class Adam : public Optimizer {
 public:
  Adam(const NamedTensors& parameters, const AdamOptions& options = {});
  /// More parameters, with their own options. @throws ShapeError on options out of range
  void add_group(const NamedTensors& parameters, const AdamOptions& options);

 protected:
  size_t used_slots(size_t group) const override;
  void update(size_t group, std::span<Update> updates, const Scales& scales) override;

 private:
  std::vector<AdamOptions> options_;
};

struct AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8, weight_decay = 1e-2;
  bool amsgrad = false, maximize = false;
};

/// Adam whose weight decay acts on the weights directly.
/// @source Loshchilov and Hutter 2017, arXiv:1711.05101
class AdamW : public Adam {
 public:
  AdamW(const NamedTensors& parameters, const AdamWOptions& options = {});
  void add_group(const NamedTensors& parameters, const AdamWOptions& options);
};

}  // namespace brume::nn
