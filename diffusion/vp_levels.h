#pragma once
// The noise levels of the variance-preserving process, for numbers and for tensors.
// @source Song et al. 2021, arXiv:2011.13456; as in Karras et al. 2022, arXiv:2206.00364, table 1

#include <cmath>

#include <brume/autograd/ops/pointwise.h>

namespace brume::diffusion {

/// The rate beta_min + beta_d t of the noise, integrated from 0 to t.
template <class T, class Beta>
T vp_integrated_rate(const T& t, const Beta& beta_d, const Beta& beta_min) {
  return t * t * (beta_d * 0.5) + t * beta_min;
}

/// The standard deviation of the noise in x_t / alpha(t).
template <class T, class Beta>
T vp_level(const T& t, const Beta& beta_d, const Beta& beta_min) {
  using std::expm1, std::sqrt;
  return sqrt(expm1(vp_integrated_rate(t, beta_d, beta_min)));
}

/// The time of a vp_level.
template <class T, class Beta>
T vp_level_inv(const T& level, const Beta& beta_d, const Beta& beta_min) {
  using std::log1p, std::sqrt;
  return (sqrt(beta_d * 2.0 * log1p(level * level) + beta_min * beta_min) - beta_min) / beta_d;
}

}  // namespace brume::diffusion
