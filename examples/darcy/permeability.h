#pragma once

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::darcy {

/// Random ground: the logarithm of the permeability, a Gaussian field of mean 0 and standard
/// deviation 1 (averaged over the square). It is a sum of cos(pi a x) cos(pi b y) whose amplitudes
/// fall as (pi^2 (a^2 + b^2) + 9)^(-3/2): smooth, without a constant.
/// @shape  f64 [samples, points, points] at the centres of points x points cells
Tensor log_permeability(int64_t samples, int64_t points, Generator& rng);

}  // namespace brume::darcy
