#include <brume/diffusion/sample.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>

namespace brume::diffusion {
namespace {

// Whoever made the list: as the run will use it, so that times which the dtype of x rounds to one
// are found too.
Tensor checked_times(const Tensor& times, const std::string& whose) {
  check(times.defined() && times.rank() == 1 && times.numel() >= 2, "sample: ", whose,
        " are a list of two times or more, got ",
        times.defined() ? to_string(times.shape()) : "none");
  const std::vector<double> t = times.to_vector<double>();
  for (size_t i = 0; i < t.size(); ++i) {
    check(std::isfinite(t[i]), "sample: ", whose, " must be finite, but time ", i, " is ", t[i]);
    check(i == 0 || t[i] < t[i - 1], "sample: ", whose, " must decrease, but go from ", t[i - 1],
          " to ", t[i], " in step ", i, t[i] == t[i - 1] ? cat(" (in ", times.dtype(), ")") : "");
  }
  check(t.back() >= 0, "sample: times must not be negative, but ", whose, " end at ", t.back());
  return times;
}

Tensor times_of(const Tensor& xN, const NoiseScheduler& scheduler, const SampleOptions& options) {
  check(xN.defined(), "sample: the start xN is an empty handle");
  check(xN.rank() >= 1, "sample: wants a start of shape [B, ...], got ", xN.shape());
  if (options.time_steps.defined())
    return checked_times(transfer(convert(options.time_steps, xN.dtype()), xN.device()),
                         "time_steps");
  check(options.num_steps >= 1 && options.num_steps <= kMostSteps, "sample: wants 1 to ",
        kMostSteps, " steps, got ", options.num_steps);
  return checked_times(
      scheduler.timesteps(options.num_steps, {.dtype = xN.dtype(), .device = xN.device()}),
      cat("the scheduler's timesteps(", options.num_steps, ")"));
}

void check_process(const Denoiser& denoiser, const NoiseScheduler& scheduler, const Tensor& times) {
  const auto* own = dynamic_cast<const LinearGaussianNoiseScheduler*>(&scheduler);
  check(!own || !denoiser.process() || same_levels(*denoiser.process(), *own, times),
        "sample: its scheduler and the denoiser's have other noise levels; give it the denoiser's");
}

// "12.5 (sigma 12.5)"
std::string describe_time(const Tensor& t, const NoiseScheduler& scheduler) {
  const auto* process = dynamic_cast<const LinearGaussianNoiseScheduler*>(&scheduler);
  const auto time = static_cast<float>(t.item());
  return process ? cat(time, " (sigma ", static_cast<float>(process->sigma(t).item()), ")")
                 : cat(time);
}

// A sum is finite only if all elements are; it may also overflow, so elements are asked then.
bool is_finite(const Tensor& x) {
  const NoGrad guard;
  return std::isfinite(sum(x).item()) || all(isfinite(x)).item() != 0;
}

}  // namespace

Tensor sample(const Denoiser& denoiser, const Tensor& xN, const NoiseScheduler& scheduler,
              const SampleOptions& options) {
  check<Error>(static_cast<bool>(denoiser), "sample: the denoiser is empty");
  check<Error>(static_cast<bool>(options.solver), "sample: the solver is empty");
  const Tensor times = times_of(xN, scheduler, options);
  check_process(denoiser, scheduler, times);
  const int64_t batch = xN.size(0), steps = times.numel() - 1;
  const auto at = [&](int64_t i) { return expand(slice(times, 0, i, i + 1), {batch}); };
  Solver solver = options.solver;
  Tensor x = xN;
  for (int64_t i = 0; i < steps; ++i) {
    x = solver(denoiser, x, at(i), at(i + 1));
    check(x.shape() == xN.shape(), "sample: step ", i + 1, " returned ", x.shape(), " for x of ",
          xN.shape());
    if (options.check_finite && !is_finite(x))
      throw Error(cat("sample: x is not finite after step ", i + 1, " of ", steps, ", from time ",
                      describe_time(select(times, 0, i), scheduler), " to ",
                      describe_time(select(times, 0, i + 1), scheduler)));
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
      states.push_back(now.x * 1.0);  // a copy: the solver may work in place
    return !options.on_step || options.on_step(now);
  };
  (void)sample(denoiser, xN, scheduler, watched);
  return states;
}

}  // namespace brume::diffusion
