#pragma once
// What the schedules share: an even grid to bend, and the zero they end with.

#include <functional>

#include <brume/core/tensor.h>

namespace brume::diffusion {

/// @throws ShapeError naming `who` if num_steps < 2
void check_steps(const char* who, int64_t num_steps);
/// 0, 1/(n-1), ..., 1. @throws ShapeError as check_steps
Tensor even_grid(const char* who, int64_t num_steps, TensorOptions options);
/// time_at of the even grid in wide_dtype, rounded once, with a 0 after it.
/// @throws ShapeError as check_steps
Tensor sampling_times(const char* who, int64_t num_steps, TensorOptions options,
                      const std::function<Tensor(const Tensor& fraction)>& time_at);
/// The times with a 0 after them.
Tensor then_zero(const Tensor& times);
/// @throws ShapeError naming `who` unless 0 < sigma_min < sigma_max, which is finite
void check_levels(const char* who, double sigma_min, double sigma_max);
/// @throws ShapeError naming `who` unless both are positive and finite
void check_betas(const char* who, double beta_d, double beta_min);

}  // namespace brume::diffusion
