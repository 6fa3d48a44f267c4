#pragma once
// Training as sections 2.7 and 2.8 of the format order it: rate, loss and gradients, clipping,
// optimizer step, average.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <brume/nn/optim/ema.h>
#include <brume/nn/optim/optimizer.h>

#include "tests/conformance/findings.h"

namespace brume::conformance {

class Trainer {
 public:
  /// From a description's optimizer, schedule, clip and ema.
  Trainer(const Value& description, const nn::NamedTensors& parameters);

  /// One step. The mean is taken of a loss that is not a scalar.
  void step(const std::function<Tensor()>& loss);
  /// Compares out/<n> that every training has: losses, rates, norms, optimizer state, averages.
  /// False if the key is another.
  bool compare(Findings& findings, const CaseFile& file, const std::string& key) const;

 private:
  double clip_and_step();

  const Value& description_;
  nn::NamedTensors parameters_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  std::vector<double> base_rates_;
  std::optional<nn::Ema> ema_;
  std::vector<double> losses_, rates_, norms_;
};

}  // namespace brume::conformance
