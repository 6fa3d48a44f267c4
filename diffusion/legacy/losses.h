#pragma once
// The older losses: without reduction, one value per element. Each draws its noise levels, then the
// noise, and asks the network for the clean image at (image + noise, sigma [B, 1, ...]). The
// condition reaches the network as it is.

#include <vector>

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/legacy/loss_inputs.h>
#include <brume/diffusion/model.h>
#include <brume/nn/config.h>

namespace brume::diffusion {

struct EDMLossOptions {
  double P_mean = kEdmPMean, P_std = kEdmPStd;
  nn::OneOrMany<double> sigma_data = kSigmaData;  // one, or one per channel
};

/// Log-normal noise levels. @shape images and the result [B, C, ...]
/// @source Karras et al. 2022, arXiv:2206.00364, table 1
class EDMLoss {
 public:
  /// @throws ShapeError unless P_std and sigma_data are positive
  explicit EDMLoss(EDMLossOptions options = {});
  Tensor operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                    const LegacyLossInputs& inputs = {}) const;

 private:
  EDMLossOptions options_;
};

struct EDMLossLogUniformOptions {
  double sigma_min = 0.02, sigma_max = 1000;
  nn::OneOrMany<double> sigma_data = kSigmaData;  // one, or one per channel
};

/// EDMLoss with log-uniform noise levels.
class EDMLossLogUniform {
 public:
  /// @throws ShapeError unless 0 < sigma_min < sigma_max and sigma_data is positive
  explicit EDMLossLogUniform(EDMLossLogUniformOptions options = {});
  Tensor operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                    const LegacyLossInputs& inputs = {}) const;

 private:
  EDMLossLogUniformOptions options_;
};

struct VPLossOptions {
  double beta_d = kVpBetaD, beta_min = kVpBetaMin, epsilon_t = kVpEpsilonT;
};

/// Noise levels of evenly drawn times of the variance-preserving process, drawn before the images
/// are augmented.
/// @source Song et al. 2021, arXiv:2011.13456; as in Karras et al. 2022, arXiv:2206.00364, table 1
class VPLoss {
 public:
  /// @throws ShapeError unless beta_d, beta_min > 0 and 0 < epsilon_t < 1
  explicit VPLoss(VPLossOptions options = {});
  Tensor operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                    const LegacyLossInputs& inputs = {}) const;

 private:
  VPLossOptions options_;
};

struct VELossOptions {
  double sigma_min = kVeSigmaMin, sigma_max = kVeSigmaMax;
};

/// Log-uniform noise levels weighted by 1 / sigma^2, drawn before the images are augmented.
/// @source Song et al. 2021, arXiv:2011.13456; as in Karras et al. 2022, arXiv:2206.00364, table 1
class VELoss {
 public:
  /// @throws ShapeError unless 0 < sigma_min < sigma_max
  explicit VELoss(VELossOptions options = {});
  Tensor operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                    const LegacyLossInputs& inputs = {}) const;

 private:
  VELossOptions options_;
};

/// EDMLoss for super-resolution: the network sees the low-resolution images as "img_lr". The levels
/// are drawn before the images, both together, are augmented.
/// @shape  img_clean [B, C, H, W], img_lr [B, Cl, H, W]
class EDMLossSR {
 public:
  explicit EDMLossSR(EDMLossOptions options = {});
  Tensor operator()(const AnyModel& net, const Tensor& img_clean, const Tensor& img_lr,
                    Generator& rng, const LegacyLossInputs& inputs = {}) const;

 private:
  EDMLossOptions options_;
};

/// How a variance schedule runs from beta_start to beta_end.
enum class BetaSchedule { linear, quad, constant, jsd, sigmoid };
/// @shape result [num_diffusion_timesteps], f64
std::vector<double> get_beta_schedule(BetaSchedule schedule, double beta_start, double beta_end,
                                      int64_t num_diffusion_timesteps);

struct VELoss_dfsrOptions {
  double beta_start = 1e-4, beta_end = 0.02;
  int64_t num_diffusion_timesteps = 1000;
};

/// (epsilon - net(x_t, t))^2 at steps t of a linear variance schedule; of the steps drawn, half
/// are the mirror image of the others.
/// @source Shu et al. 2023, arXiv:2211.14680; Ho et al. 2020, arXiv:2006.11239
class VELoss_dfsr {
 public:
  explicit VELoss_dfsr(VELoss_dfsrOptions options = {});
  Tensor operator()(const AnyModel& net, const Tensor& images, Generator& rng,
                    const Condition& condition = {}) const;

 private:
  int64_t count_;
  Tensor alpha_bar_;  // products of 1 - beta
};

}  // namespace brume::diffusion
