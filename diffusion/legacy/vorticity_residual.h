#pragma once

#include <brume/core/tensor.h>

namespace brume::diffusion {

/// Gradient, with respect to w, of the mean square of what frames of vorticity miss of solving
/// dw/dt + u dw/dx + v dw/dy = viscosity laplace(w) - 0.1 w - 4 cos(4 y) on the torus [0, 2 pi)^2,
/// at the frames that have neighbours; y is the last axis. Carries no graph of its own.
/// @shape  w [B, T, N, N], frames 1/32 apart -> the same
/// @throws ShapeError unless T >= 3 and N is even
/// @source Shu et al. 2023, arXiv:2211.14680
Tensor vorticity_residual_gradient(const Tensor& w, double viscosity = 1e-3);

}  // namespace brume::diffusion
