#pragma once

#include <brume/diffusion/model.h>
#include <brume/diffusion/schedulers/noise_scheduler.h>

namespace brume::diffusion {

/// x_t = alpha(t) x0 + sigma(t) n with n ~ N(0, 1). A subclass gives sigma, its inverse and its
/// derivative, and alpha and its derivative where alpha is not 1 (any shape of t); everything else
/// follows. One that solves another SDE of the same marginals overrides drift and diffusion too.
/// @source Karras et al. 2022, arXiv:2206.00364, appendix B
class LinearGaussianNoiseScheduler : public NoiseScheduler {
 public:
  virtual Tensor sigma(const Tensor& t) const = 0;
  virtual Tensor sigma_inv(const Tensor& sigma) const = 0;
  virtual Tensor sigma_dot(const Tensor& t) const = 0;
  virtual Tensor alpha(const Tensor& t) const;
  virtual Tensor alpha_dot(const Tensor& t) const;

  /// f(x, t) of the forward process dx = f dt + g dW. @shape x [B, ...], t [B]
  virtual Tensor drift(const Tensor& x, const Tensor& t) const;
  /// g(t)^2. @shape x [B, ...], t [B] -> [B, 1, ...]
  virtual Tensor diffusion(const Tensor& x, const Tensor& t) const;

  // Conversions among x0, the score, the noise epsilon, and v = alpha epsilon - sigma x0 (Salimans
  // and Ho 2022, arXiv:2202.00512). @shape x_t and the first argument [B, ...], t [B]
  Tensor x0_to_score(const Tensor& x0, const Tensor& x_t, const Tensor& t) const;
  Tensor score_to_x0(const Tensor& score, const Tensor& x_t, const Tensor& t) const;
  Tensor epsilon_to_score(const Tensor& epsilon, const Tensor& t) const;
  Tensor score_to_epsilon(const Tensor& score, const Tensor& t) const;
  Tensor epsilon_to_x0(const Tensor& epsilon, const Tensor& x_t, const Tensor& t) const;
  Tensor x0_to_epsilon(const Tensor& x0, const Tensor& x_t, const Tensor& t) const;
  Tensor x0_to_v(const Tensor& x0, const Tensor& x_t, const Tensor& t) const;
  Tensor v_to_x0(const Tensor& v, const Tensor& x_t, const Tensor& t) const;
  Tensor epsilon_to_v(const Tensor& epsilon, const Tensor& x_t, const Tensor& t) const;
  Tensor v_to_epsilon(const Tensor& v, const Tensor& x_t, const Tensor& t) const;
  Tensor score_to_v(const Tensor& score, const Tensor& x_t, const Tensor& t) const;
  Tensor v_to_score(const Tensor& v, const Tensor& x_t, const Tensor& t) const;

  Tensor add_noise(const Tensor& x0, const Tensor& t, Generator& rng) const override;
  Tensor init_latents(const Shape& shape, const Tensor& tN, NoiseSource& noise,
                      TensorOptions options = {}) const override;

 protected:
  /// n of the process, of variance 1 or nearly so. @shape shape [B, ...]
  virtual Tensor draw_noise(const Shape& shape, NoiseSource& noise, TensorOptions options) const;
};

/// Whether two processes have the same alpha and sigma at all of these times.
bool same_levels(const LinearGaussianNoiseScheduler& a, const LinearGaussianNoiseScheduler& b,
                 const Tensor& t);

/// Exactly one predictor, and what it becomes.
struct DenoiserOptions {
  Predictor x0{}, score{}, epsilon{}, v{};
  DenoisingType type = DenoisingType::ode;
};

/// dx/dt of the probability-flow ODE, f - g^2/2 score, or the drift of the reverse SDE,
/// f - g^2 score, with the scheduler's drift f and diffusion g^2; or the prediction of x0, which
/// exponential solvers ask for. The scheduler must outlive it.
/// @throws ShapeError unless exactly one predictor is given
/// @source Song et al. 2021, arXiv:2011.13456, eq. 13 and 6
Denoiser denoiser(const LinearGaussianNoiseScheduler& scheduler, DenoiserOptions options);
Denoiser denoiser(const LinearGaussianNoiseScheduler&& gone, DenoiserOptions options) = delete;

}  // namespace brume::diffusion
