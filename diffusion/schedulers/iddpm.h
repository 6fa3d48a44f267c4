#pragma once

#include <vector>

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>
#include <brume/nn/config.h>

namespace brume::diffusion {

struct IDDPMNoiseSchedulerConfig {
  double sigma_min = kEdmSigmaMin, sigma_max = 81;  // levels outside are left out
  double C_1 = kIddpmC1, C_2 = kIddpmC2;
  int64_t M = kLabels;  // levels of the whole table
  template <class V>
  void fields(V& v) {
    v("sigma_min", sigma_min);
    v("sigma_max", sigma_max);
    v("C_1", C_1);
    v("C_2", C_2);
    v("M", M);
  }
};

/// Improved DDPM: x_t = x0 + t n, where training and sampling use the levels of a table.
/// @source Nichol and Dhariwal 2021, arXiv:2102.09672; as in Karras et al. 2022, arXiv:2206.00364
class IDDPMNoiseScheduler : public LinearGaussianNoiseScheduler {
 public:
  using Config = IDDPMNoiseSchedulerConfig;
  /// @throws ShapeError unless 0 < sigma_min < sigma_max with a level between, M >= 2,
  ///         0 < C_1 < 1, C_2 > 0
  explicit IDDPMNoiseScheduler(const Config& config = {});

  Tensor sigma(const Tensor& t) const override { return t; }
  Tensor sigma_inv(const Tensor& sigma) const override { return sigma; }
  Tensor sigma_dot(const Tensor& t) const override { return ones_like(t); }
  Tensor sample_time(int64_t n, Generator& rng, TensorOptions options = {}) const override;
  Tensor loss_weight(const Tensor& t) const override;
  Tensor timesteps(int64_t num_steps, TensorOptions options = {}) const override;

 private:
  Tensor levels_at(const Tensor& index, TensorOptions options) const;
  std::vector<float> levels_;  // decreasing
};

}  // namespace brume::diffusion
