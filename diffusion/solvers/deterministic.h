#pragma once

#include <brume/diffusion/solvers/solver.h>

namespace brume::diffusion {

/// x + (t_next - t) dx/dt. One network call a step, order 1.
struct EulerSolver {
  Tensor operator()(const Denoiser& denoiser, const Tensor& x, const Tensor& t,
                    const Tensor& t_next) const;
};

/// A second-order Runge-Kutta step through t + alpha (t_next - t); alpha = 1 is Heun's method, 1/2
/// the midpoint. Two network calls a step; samples whose t_next is 0 take an Euler step, and a step
/// in which all do makes one call. @units 0 < alpha <= 1
/// @source Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 3
struct HeunSolver {
  double alpha = 1;
  Tensor operator()(const Denoiser& denoiser, const Tensor& x, const Tensor& t,
                    const Tensor& t_next) const;
};

}  // namespace brume::diffusion
