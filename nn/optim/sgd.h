#pragma once
// Stochastic gradient descent, with PyTorch's semantics.

#include <brume/nn/optim/optimizer.h>

namespace brume::nn {

struct SgdOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
};

class Sgd : public Optimizer {
 public:
  Sgd(const NamedTensors& parameters, const SgdOptions& options = {});
  /// More parameters, with their own options. @throws ShapeError on options out of range, or
  /// nesterov without momentum or with dampening
  void add_group(const NamedTensors& parameters, const SgdOptions& options);

 protected:
  size_t used_slots(size_t group) const override;
  void update(size_t group, std::span<Update> updates, const Scales& scales) override;

 private:
  std::vector<SgdOptions> options_;
};

}  // namespace brume::nn
