#pragma once

#include <functional>

#include <brume/diffusion/model.h>

namespace brume::diffusion {

/// One step of integration: x at t_next from x at t. Any callable is a solver.
/// @shape  x and the result [B, ...]; t, t_next [B], which may differ over the batch
using Solver = std::function<Tensor(const Denoiser& denoiser, const Tensor& x, const Tensor& t,
                                    const Tensor& t_next)>;

}  // namespace brume::diffusion
