#pragma once

#include <functional>
#include <vector>

#include <brume/diffusion/schedulers/noise_scheduler.h>
#include <brume/diffusion/solvers/deterministic.h>
#include <brume/diffusion/solvers/solver.h>

namespace brume::diffusion {

/// Where a sampling run stands, after a step.
struct SampleStep {
  int64_t step, steps;  // 1 .. steps
  const Tensor& x;      // at the time now reached
};

/// More steps than this are hardly meant.
inline constexpr int64_t kMostSteps = 1'000'000;

struct SampleOptions {
  int64_t num_steps = 18;  // up to kMostSteps
  Solver solver = HeunSolver{};
  /// Times to walk through, instead of the scheduler's. @shape [n + 1]
  Tensor time_steps{};
  /// Called after each step; false ends the run there.
  std::function<bool(const SampleStep&)> on_step{};
  /// Whether to look for NaN and infinities after each step.
  bool check_finite = true;
};

/// Integrates the denoiser from xN at the first time down to the last. Records gradients if they
/// are on; wrap it in NoGrad otherwise. Works with a copy of the solver, so that runs may share
/// one.
/// @shape  xN and the result [B, ...]
/// @throws ShapeError if times do not decrease or end below 0, a step returns another shape, or
///         the denoiser's process has other noise levels than the scheduler; Error if denoiser or
///         solver are empty, or x is not finite after a step, naming the step, its time and noise
///         level
Tensor sample(const Denoiser& denoiser, const Tensor& xN, const NoiseScheduler& scheduler,
              const SampleOptions& options = {});

/// The states after the steps (counted from 0) in `steps`, each once, in order.
/// @throws ShapeError if one is not in [0, number of steps)
std::vector<Tensor> sample_at(const std::vector<int64_t>& steps, const Denoiser& denoiser,
                              const Tensor& xN, const NoiseScheduler& scheduler,
                              const SampleOptions& options = {});

}  // namespace brume::diffusion
