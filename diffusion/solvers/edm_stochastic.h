#pragma once

#include <functional>
#include <limits>

#include <brume/diffusion/noise_source.h>
#include <brume/diffusion/solvers/solver.h>

namespace brume::diffusion {

/// How much noise a stochastic EDM solver puts back before each step ("churn").
struct ChurnOptions {
  NoiseSource* noise = nullptr;  // where it is drawn; must outlive the solver
  double S_churn = 0, S_min = 0, S_max = std::numeric_limits<double>::infinity(), S_noise = 1;
  int64_t num_steps = 18;  // the churn per step is S_churn / num_steps, at most sqrt(2) - 1
  /// Noise level of a time and back; give both or neither (the identity).
  std::function<Tensor(const Tensor&t)> sigma{}, sigma_inv{};
  /// g^2(x, t) [B, 1, ...] of the forward process; 2 t by default. Where levels are not times the
  /// Euler solver needs it, and for the Heun solver it must stay the default. Both are EDM's
  /// algorithm, which adds noise and shrinks nothing: exact where alpha is 1, near it for VP.
  std::function<Tensor(const Tensor& x, const Tensor& t)> diffusion{};
};

/// Noise up to a higher level, then an Euler step of the ODE from there. The denoiser must be the
/// ODE's. Noise is drawn on every step, also where the churn is 0.
/// @throws ShapeError without a noise source, with one of sigma and sigma_inv only, with neither
///         where the process of the denoiser needs them, or with S_min, S_max and S_noise out of
///         range
/// @source Karras et al. 2022, arXiv:2206.00364, algorithm 2
struct EDMStochasticEulerSolver : ChurnOptions {
  Tensor operator()(const Denoiser& denoiser, const Tensor& x, const Tensor& t,
                    const Tensor& t_next) const;
};

/// The same with a HeunSolver step.
struct EDMStochasticHeunSolver : ChurnOptions {
  double alpha = 1;
  Tensor operator()(const Denoiser& denoiser, const Tensor& x, const Tensor& t,
                    const Tensor& t_next) const;
};

/// @throws ShapeError naming `who` unless 0 <= S_min <= S_max and 0 <= S_noise
void check_churn(const char* who, double S_min, double S_max, double S_noise);

}  // namespace brume::diffusion
