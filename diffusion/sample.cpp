#include <brume/diffusion/sample.h>

#include <algorithm>

#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

Tensor times_of(const Tensor& xN, const NoiseScheduler& scheduler, const SampleOptions& options) {
  check(xN.rank() >= 1, "sample: wants a start of shape [B, ...], got ", xN.shape());
  if (!options.time_steps.defined())
    return scheduler.timesteps(options.num_steps, {.dtype = xN.dtype(), .device = xN.device()});
  check(options.time_steps.rank() == 1 && options.time_steps.numel() >= 1,
        "sample: time_steps is a list of times, got ", options.time_steps.shape());
  return transfer(convert(options.time_steps, xN.dtype()), xN.device());
}

}  // namespace

Tensor sample(const Denoiser& denoiser, const Tensor& xN, const NoiseScheduler& scheduler,
              const SampleOptions& options) {
  const Tensor times = times_of(xN, scheduler, options);
  const int64_t batch = xN.size(0), steps = times.numel() - 1;
  const auto at = [&](int64_t i) { return expand(slice(times, 0, i, i + 1), {batch}); };
  Tensor x = xN;
  for (int64_t i = 0; i < steps; ++i) {
    x = options.solver(denoiser, x, at(i), at(i + 1));
    if (options.on_step && !options.on_step({.step = i + 1, .steps = steps, .x = x})) break;
  }
  return x;
}

std::vector<Tensor> sample_at(const std::vector<int64_t>& wanted, const Denoiser& denoiser,
                              const Tensor& xN, const NoiseScheduler& scheduler,
                              const SampleOptions& options) {
  const int64_t steps = times_of(xN, scheduler, options).numel() - 1;
  for (int64_t step : wanted)
    check(step >= 0 && step < steps, "sample_at: step ", step, " is outside [0, ", steps, ")");
  std::vector<Tensor> states;
  SampleOptions watched = options;
  watched.on_step = [&](const SampleStep& now) {
    if (std::find(wanted.begin(), wanted.end(), now.step - 1) != wanted.end())
      states.push_back(now.x);
    return !options.on_step || options.on_step(now);
  };
  (void)sample(denoiser, xN, scheduler, watched);
  return states;
}

}  // namespace brume::diffusion
