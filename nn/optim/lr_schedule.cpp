#include <brume/nn/optim/lr_schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <brume/core/error.h>

namespace brume::nn {
namespace {

void check_positive(const char* who, const char* what, int64_t value) {
  check(value > 0, who, ": ", what, " must be positive, got ", value);
}

}  // namespace

double step_lr(double base, int64_t step, int64_t step_size, double gamma) {
  check_positive("step_lr", "step_size", step_size);
  const int64_t decays = step / step_size;
  return base * std::pow(gamma, static_cast<double>(decays));
}

double exponential_lr(double base, int64_t step, double gamma) {
  return base * std::pow(gamma, static_cast<double>(step));
}

double cosine_annealing_lr(double base, int64_t step, int64_t t_max, double eta_min) {
  check_positive("cosine_annealing_lr", "t_max", t_max);
  const double turn = static_cast<double>(step) / static_cast<double>(t_max);
  return eta_min + (base - eta_min) * (1 + std::cos(std::numbers::pi * turn)) / 2;
}

double warmup_linear(double base, int64_t step, int64_t warmup) {
  check_positive("warmup_linear", "warmup", warmup);
  return base * std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(warmup));
}

double warmup_cosine(double base, int64_t step, int64_t warmup, int64_t total) {
  check(warmup >= 0 && total > warmup, "warmup_cosine: wants 0 <= warmup < total, got ", warmup,
        " and ", total);
  if (step < warmup) return base * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const double turn = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
  return base * (1 + std::cos(std::numbers::pi * turn)) / 2;
}

double edm_rampup(double base, int64_t step, int64_t rampup, int64_t decay) {
  check_positive("edm_rampup", "rampup", rampup);
  check_positive("edm_rampup", "decay", decay);
  const double i = static_cast<double>(step + 1);
  return base * std::min(1.0, i / static_cast<double>(rampup)) /
         std::sqrt(std::max(i / static_cast<double>(decay), 1.0));
}

}  // namespace brume::nn
