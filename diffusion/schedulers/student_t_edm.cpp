#include <brume/diffusion/schedulers/student_t_edm.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>

namespace brume::diffusion {

StudentTEDMNoiseScheduler::StudentTEDMNoiseScheduler(const Config& config)
    : EDMNoiseScheduler({.sigma_min = config.sigma_min,
                         .sigma_max = config.sigma_max,
                         .rho = config.rho,
                         .sigma_data = config.sigma_data,
                         .P_mean = config.P_mean,
                         .P_std = config.P_std}),
      nu_(config.nu) {
  check(nu_ > 2, "StudentTEDMNoiseScheduler: nu must be > 2, got ", nu_);
  check(std::isfinite(nu_),
        "StudentTEDMNoiseScheduler: nu must be finite; its limit is EDMNoiseScheduler");
}

// The standard deviation of n is sqrt(nu / (nu - 2)).
Tensor StudentTEDMNoiseScheduler::loss_weight(const Tensor& t) const {
  return EDMNoiseScheduler::loss_weight(t * std::sqrt(nu_ / (nu_ - 2)));
}

Tensor StudentTEDMNoiseScheduler::draw_noise(const Shape& shape, NoiseSource& noise,
                                             TensorOptions options) const {
  return noise.student_t(shape, nu_, options);
}

}  // namespace brume::diffusion
