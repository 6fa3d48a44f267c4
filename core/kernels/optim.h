#pragma once
// Family optim: one pass over a whole list of parameters per step.

#include <cstdint>
#include <limits>
#include <span>

#include <brume/core/kernels/kernel.h>

namespace brume {

// The views of one entry are dense, of one floating dtype (f32 or f64), and share their strides.

struct AdamEntry {
  View param{}, grad{}, exp_avg{}, exp_avg_sq{};
  View max_exp_avg_sq{};  // present: amsgrad
  View average{};         // present: average += (1 - average_decay) (param - average) afterwards
  int64_t step = 1;       // counted from 1, for the bias corrections
};

struct AdamParams {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false;  // AdamW: param *= 1 - lr * weight_decay
  bool maximize = false;
  double grad_scale = 1;  // multiplies every gradient as it is read
  View grad_factor{};     // present: [] f64, multiplies them, too; if it is NaN, nothing changes
  double average_decay = 0;
};

struct SgdEntry {
  View param{}, grad{};
  View momentum_buffer{};  // present: momentum
  View average{};
  bool first = false;  // the buffer starts as the gradient itself
};

struct SgdParams {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
  double grad_scale = 1;
  View grad_factor{};
  double average_decay = 0;
};

struct AverageEntry {
  View average{}, param{};
};

/// What gradients whose joint norm is `norm` are multiplied by so that it is at most max_norm; NaN
/// for a norm that is not finite.
constexpr double clip_factor(double norm, double max_norm) {
  if (!(norm <= std::numeric_limits<double>::max()))
    return std::numeric_limits<double>::quiet_NaN();
  const double factor = max_norm / (norm + 1e-6);
  return factor < 1 ? factor : 1;
}

struct OptimKernels {
  Kernel<"adam", void(std::span<const AdamEntry> list, const AdamParams& p)> adam{};
  Kernel<"sgd", void(std::span<const SgdEntry> list, const SgdParams& p)> sgd{};
  // average += (1 - decay) (param - average)
  Kernel<"average", void(std::span<const AverageEntry> list, double decay)> average{};
  // x *= factor
  Kernel<"scale", void(std::span<const View> list, double factor)> scale{};
  // sums[i] = sum of list[i]'s squares in f64, in a fixed order; not finite exactly where an
  // element is not (or an f64 square overflows). sums: [n] f64, row-major.
  Kernel<"sums_of_squares", void(std::span<const View> list, const View& sums)> sums_of_squares{};
  // norm = the root of the sum of sums, in their order; factor = clip_factor(norm, max_norm).
  // sums: [n] f64, norm and factor: [] f64.
  Kernel<"grad_norm", void(const View& sums, double max_norm, const View& norm, const View& factor)>
      grad_norm{};
};

}  // namespace brume
