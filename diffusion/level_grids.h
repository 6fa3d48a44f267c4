#pragma once
// Where sampling stops on its way down, for numbers and for tensors. A fraction of 0 is the largest
// noise level, 1 the smallest.
// @source Karras et al. 2022, arXiv:2206.00364, table 1

#include <cmath>

#include <brume/autograd/ops/pointwise.h>

namespace brume::diffusion {

/// EDM's levels, even in their root of power rho.
template <class T>
T edm_level(const T& fraction, double sigma_min, double sigma_max, double rho) {
  using std::pow;
  const double first = std::pow(sigma_max, 1 / rho), last = std::pow(sigma_min, 1 / rho);
  return pow(fraction * (last - first) + first, rho);
}

/// VE's times, which are variances, even in their logarithm.
template <class T>
T ve_time(const T& fraction, double sigma_min, double sigma_max) {
  using std::exp;
  return exp(fraction * (2 * std::log(sigma_min / sigma_max))) * (sigma_max * sigma_max);
}

}  // namespace brume::diffusion
