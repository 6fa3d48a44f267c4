#pragma once
// Exponential moving average of parameters: the weights that are kept and sampled with.

#include <brume/nn/named_tensors.h>

namespace brume::nn {

class Module;

class Ema {
 public:
  /// Averages start as the parameters. warmup: the decay is min(decay, (1 + i) / (10 + i)) at
  /// update i from 0, so that early weights are forgotten sooner.
  Ema(const NamedTensors& parameters, double decay = 0.999, bool warmup = false);
  Ema(const Module& module, double decay = 0.999, bool warmup = false);

  /// average = d * average + (1 - d) * parameter. Optimizer::step does it in its own pass if told.
  void update();

  /// Exchanges the averages and the parameters' values, until swap_out() exchanges them back.
  void swap_in();
  void swap_out();
  bool swapped() const { return swapped_; }

  /// Averages under the parameters' names.
  NamedTensors averages() const;
  int64_t updates() const { return updates_; }
  /// Takes averages and the count from a checkpoint.
  void load(const NamedTensors& averages, int64_t updates);

 private:
  friend class Optimizer;
  struct Entry {
    std::string name;
    Tensor parameter, average;
  };
  double next_decay() const;
  Tensor average_of(const Tensor& parameter) const;

  std::vector<Entry> entries_;
  double decay_;
  bool warmup_, swapped_ = false;
  int64_t updates_ = 0;
};

}  // namespace brume::nn
