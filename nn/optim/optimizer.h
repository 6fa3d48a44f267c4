#pragma once
// What every optimizer shares: parameters in groups, the checked step, state that can be saved.

#include <cstdint>
#include <span>

#include <brume/nn/module.h>

namespace brume::nn {

class Ema;

struct StepOptions {
  double clip_norm = 0;         // > 0: gradients are scaled to a joint 2-norm of at most this
  Ema* ema = nullptr;           // updated in the same pass
  bool skip_nonfinite = false;  // a non-finite gradient skips the step instead of raising
};

/// @throws ShapeError naming the option unless its value is finite and not negative
void check_option(const char* name, double value);

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Forgets all gradients; a parameter without one is left alone by step().
  void zero_grad();
  /// One step for every parameter that has a gradient. Returns the 2-norm of all gradients before
  /// clipping; it is not finite exactly if the step was skipped.
  /// @throws GradError naming the first non-finite gradient, before any weight changes
  double step(const StepOptions& options = {});
  /// The same step without the host waiting for the device; returns the norm as [] f64, there. A
  /// non-finite gradient leaves every stepped parameter, its state and its average as they are, but
  /// the step is counted. What a captured step calls: counters and averages go on in each replay,
  /// with the learning rates of then.
  Tensor step_on_device(const StepOptions& options = {});

  size_t groups() const { return lr_.size(); }
  /// @throws Error if there is no such group; set_lr ShapeError unless lr is finite and not
  /// negative
  double lr(size_t group = 0) const;
  void set_lr(double lr);  // of every group
  void set_lr(size_t group, double lr);

  /// What a resumed run needs besides the parameters: `state.<parameter>.<slot>`, and the steps
  /// taken as `state.<parameter>.step` (i64). Parameters that were never stepped are left out.
  NamedTensors state() const;
  /// Copies a saved state; parameters that it does not name start afresh. All or nothing.
  /// @throws FormatError on a key or a step that does not belong here, or if a parameter's tensors
  ///         are there in part; ShapeError on a shape
  void load_state(const NamedTensors& saved);
  /// What load_state() asks of the state, without taking it. @throws as load_state()
  void check_load_state(const NamedTensors& saved) const;

 protected:
  struct Parameter {
    std::string name;
    Tensor value;
    size_t group = 0;
    int64_t steps = 0;          // taken so far
    std::vector<Tensor> slots;  // in the order of the slot names; undefined until written
  };
  /// A parameter to be stepped; all tensors dense and in the parameter's memory order.
  struct Update {
    Parameter& parameter;
    Tensor grad;
    Tensor average;  // undefined without an Ema
  };
  struct Scales {
    double grad = 1, average_decay = 0;
    View grad_factor{};  // as the kernels have it
  };

  explicit Optimizer(std::vector<std::string> slot_names) : slot_names_(std::move(slot_names)) {}
  /// Adds a group and returns its number, under which the derived class keeps its options.
  /// @throws DTypeError unless all are f32 or f64; Error on a name that is taken
  size_t add_parameters(const NamedTensors& parameters, double lr);
  /// So many of the slots, from the first, has each parameter of a group that was stepped.
  virtual size_t used_slots(size_t group) const = 0;
  /// Steps parameters of one group; their `steps` already count this one.
  virtual void update(size_t group, std::span<Update> updates, const Scales& scales) = 0;

 private:
  struct Place {
    size_t parameter, slot;  // slot_names_.size(): the steps taken
  };
  void check_group(size_t group) const;
  std::string key_of(const Parameter& p, size_t slot) const;
  /// Where each saved tensor belongs. @throws as load_state()
  std::vector<Place> places_of(const NamedTensors& saved) const;
  void check_complete(const std::vector<Place>& places) const;
  std::vector<Update> pending_updates();
  static Tensor sums_of_squares(std::span<const Update> updates);
  static double checked_norm(std::span<const Update> updates, bool skip_nonfinite);
  void apply(std::span<Update> updates, Scales scales, Ema* ema);

  std::vector<std::string> slot_names_;
  std::vector<Parameter> parameters_;
  std::vector<double> lr_;
};

}  // namespace brume::nn
