#pragma once

#include <cstdint>
#include <numbers>
#include <vector>

namespace brume::diffusion {

/// The noise levels u[0] > ... > u[M] = 0 of improved DDPM's cosine schedule, with steps bounded by
/// C_1. Each operation rounds to f32, as the reference's do: with more digits the small levels
/// would differ by up to 1e-3.
/// @throws ShapeError naming `who` unless M >= 2, 0 < C_1 < 1 and C_2 > 0
/// @source Nichol and Dhariwal 2021, arXiv:2102.09672; as in Karras et al. 2022, arXiv:2206.00364
std::vector<float> iddpm_levels(const char* who, int64_t M, double C_1, double C_2);
/// The same with alpha_bar in f32 and levels in f64, as the reference's older sampler has them.
std::vector<double> iddpm_levels_f64(const char* who, int64_t M, double C_1, double C_2);
/// The schedule's angle at index j, a number or a tensor: alpha_bar(j) = sin^2(angle).
template <class T>
T iddpm_angle(const T& j, int64_t M, double C_2) {
  return j * (std::numbers::pi / 2) / static_cast<double>(M) / (C_2 + 1);
}

}  // namespace brume::diffusion
