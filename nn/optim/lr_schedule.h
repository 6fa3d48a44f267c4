#pragma once
// Learning rates as functions of the base rate and the step, counted from 0: nothing to save or
// resume. Give the result to Optimizer::set_lr before the step.

#include <cstdint>

namespace brume::nn {

/// base * gamma^(step / step_size), division rounded down.
double step_lr(double base, int64_t step, int64_t step_size, double gamma = 0.1);
/// base * gamma^step
double exponential_lr(double base, int64_t step, double gamma);
/// From base to eta_min and back along a cosine of period 2 t_max.
/// @source Loshchilov and Hutter 2016, arXiv:1608.03983
double cosine_annealing_lr(double base, int64_t step, int64_t t_max, double eta_min = 0);
/// Linear from base / warmup to base in `warmup` steps, then constant.
double warmup_linear(double base, int64_t step, int64_t warmup);
/// Linear in `warmup` steps, then half a cosine down to 0 at step `total`.
double warmup_cosine(double base, int64_t step, int64_t warmup, int64_t total);
/// Linear in `rampup` steps, then the inverse square root of step / decay.
/// @source Karras et al. 2023, arXiv:2312.02696
double edm_rampup(double base, int64_t step, int64_t rampup, int64_t decay);

}  // namespace brume::nn
