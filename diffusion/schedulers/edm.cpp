#include <brume/diffusion/schedulers/edm.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/data_scale.h>
#include <brume/diffusion/level_grids.h>
#include <brume/diffusion/schedulers/time_grid.h>

namespace brume::diffusion {

EDMNoiseScheduler::EDMNoiseScheduler(Config config) : config_(std::move(config)) {
  const Config& c = config_;
  check_levels("EDMNoiseScheduler", c.sigma_min, c.sigma_max);
  check(c.rho > 0 && std::isfinite(c.rho), "EDMNoiseScheduler: rho must be positive, got ", c.rho);
  check(c.P_std > 0 && std::isfinite(c.P_std), "EDMNoiseScheduler: P_std must be positive, got ",
        c.P_std);
  check(std::isfinite(c.P_mean), "EDMNoiseScheduler: P_mean must be finite, got ", c.P_mean);
  check_data_scale("EDMNoiseScheduler", c.sigma_data);
}

Tensor EDMNoiseScheduler::sample_time(int64_t n, Generator& rng, TensorOptions options) const {
  return exp(normal({n}, rng, options) * config_.P_std + config_.P_mean);
}

Tensor EDMNoiseScheduler::loss_weight(const Tensor& t) const {
  const std::vector<double>& values = config_.sigma_data.values();
  Tensor sigma = t;
  Tensor data = scalar(values[0], {.dtype = t.dtype(), .device = t.device()});
  if (config_.sigma_data.is_list()) {
    const auto channels = static_cast<int64_t>(values.size());
    data = transfer(convert(from_vector(values, {1, channels}), t.dtype()), t.device());
    sigma = reshape(t, {t.numel(), 1});
  }
  return edm_loss_weight(sigma, data);
}

Tensor EDMNoiseScheduler::timesteps(int64_t num_steps, TensorOptions options) const {
  return sampling_times("EDMNoiseScheduler", num_steps, options, [&](const Tensor& fraction) {
    return edm_level(fraction, config_.sigma_min, config_.sigma_max, config_.rho);
  });
}

}  // namespace brume::diffusion
