#pragma once
// The training loop of a program that wants one and nothing more: no folder, no checkpoints.

#include <cstdint>
#include <functional>

#include <brume/nn/module.h>

namespace brume::nn {

struct FitOptions {
  int64_t steps = 1000;
  double lr = 1e-3;  // reached linearly in a twentieth of the steps, then half a cosine down to 0
  double weight_decay = 0;
  double clip_norm = 1;  // of all gradients together; 0: none
  int64_t report_steps = 100;
  /// Called every report_steps and at the end, with the mean loss since the last call.
  std::function<void(int64_t step, double loss)> on_report{};
};

/// Lowers a loss by AdamW over the model's parameters. `loss` is called once a step and draws its
/// own batch. The model is in training mode meanwhile and in evaluation mode afterwards.
/// @throws GradError if the loss (naming the step) or a gradient is not finite, before any weight
///         changes; ShapeError unless steps >= 0 and report_steps > 0
void fit(Module& model, const FitOptions& options, const std::function<Tensor()>& loss);

}  // namespace brume::nn
