#include <brume/diffusion/schedulers/time_grid.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {

void check_steps(const char* who, int64_t num_steps) {
  check(num_steps >= 2, who, ": wants at least 2 steps, got ", num_steps);
}

Tensor even_grid(const char* who, int64_t num_steps, TensorOptions options) {
  check_steps(who, num_steps);
  return arange(0, num_steps, 1, options) / static_cast<double>(num_steps - 1);
}

Tensor sampling_times(const char* who, int64_t num_steps, TensorOptions options,
                      const std::function<Tensor(const Tensor&)>& time_at) {
  const Tensor fraction =
      even_grid(who, num_steps, {.dtype = wide_dtype(options.dtype), .device = options.device});
  return then_zero(convert(time_at(fraction), options.dtype));
}

Tensor then_zero(const Tensor& times) {
  return cat({times, zeros({1}, {.dtype = times.dtype(), .device = times.device()})}, 0);
}

void check_levels(const char* who, double sigma_min, double sigma_max) {
  check(0 < sigma_min && sigma_min < sigma_max, who, ": wants 0 < sigma_min < sigma_max, got ",
        sigma_min, " and ", sigma_max);
  check(std::isfinite(sigma_max), who, ": sigma_max must be finite");
}

void check_betas(const char* who, double beta_d, double beta_min) {
  check(0 < beta_d && std::isfinite(beta_d) && 0 < beta_min && std::isfinite(beta_min), who,
        ": beta_d and beta_min must be positive, got ", beta_d, " and ", beta_min);
}

}  // namespace brume::diffusion
