#pragma once
// Exponential moving average of parameters: the weights that are kept and sampled with.

#include <unordered_map>

#include <brume/nn/module.h>

namespace brume::nn {

class Ema {
 public:
  /// Averages start as the parameters. warmup: the decay is min(decay, (1 + i) / (10 + i)) at
  /// update i from 0, so that early weights are forgotten sooner. An average keeps the dtype,
  /// device and layout of its parameter as they are now: an update or exchange after the module was
  /// converted or moved throws Error.
  Ema(const NamedTensors& parameters, double decay = 0.999, bool warmup = false);
  Ema(const Module& module, double decay = 0.999, bool warmup = false);

  /// average = d * average + (1 - d) * parameter. Optimizer::step does it in its own pass if told.
  void update();

  /// Exchanges the averages and the parameters' values, until swap_out() exchanges them back.
  /// @throws Error if they are exchanged already (or not)
  void swap_in();
  void swap_out();

  /// Averages under the parameters' names; between swap_in and swap_out, the parameters' values.
  NamedTensors averages() const;
  int64_t updates() const { return updates_; }
  /// Takes averages and the count from a checkpoint.
  /// @throws Error if a parameter has no average or an average no parameter, ShapeError if one does
  ///         not fit
  void load(const NamedTensors& averages, int64_t updates);
  /// What load() asks of the averages, without taking them. @throws as load()
  void check_load(const NamedTensors& averages) const;

  /// One update whose averages are taken out one by one, by someone who already reads the
  /// parameters; the rest follows in finish(). Without an Ema nothing happens.
  class Pass {
   public:
    explicit Pass(Ema* ema);
    double decay() const { return decay_; }
    Tensor take(const Tensor& parameter);
    void finish();

   private:
    Ema* ema_;
    double decay_ = 0;
    std::vector<bool> taken_;
  };

 private:
  struct Entry {
    std::string name;
    Tensor parameter, average;
  };
  void check_layouts() const;
  void exchange();
  /// The given averages in the order of the entries. @throws as load()
  std::vector<Tensor> matched(const NamedTensors& averages) const;

  std::vector<Entry> entries_;
  std::unordered_map<const TensorImpl*, size_t> index_;  // of a parameter's entry
  double decay_;
  bool warmup_, swapped_ = false;
  int64_t updates_ = 0;
};

}  // namespace brume::nn
