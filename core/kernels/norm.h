#pragma once
// Family norm: group norm with what stands around it in the UNets, norms over rows, softmax.

#include <cstdint>

#include <brume/core/kernels/kernel.h>

namespace brume {

struct GroupNormParams {
  int64_t groups = 1;
  double eps = 1e-5;
  bool unbiased = false;  // variance divided by n - 1
  bool silu = false;      // behind everything else
};

/// The per-channel terms of y = act(((x + add - mean) rstd weight + bias) (1 + scale) + shift);
/// an absent view is an absent term. All of x's dtype, channels contiguous.
struct GroupNormTerms {
  View weight{}, bias{};         // [C]
  View add{}, scale{}, shift{};  // [B, C]
};

struct RowNormParams {
  double eps = 1e-5;
  bool center = true;        // subtract the row's mean (layer norm); false: rms norm
  double weight_offset = 0;  // added to weight: 1 makes weight a modulation x (1 + s)
};

struct NormKernels {
  // x, y: [B, C, ...], channels-last. mean, rstd: [B, groups], row-major, f32 (f64 for f64).
  Kernel<"group_norm", void(const View& x, const GroupNormTerms& terms, const GroupNormParams& p,
                            const View& y, const View& mean, const View& rstd)>
      group_norm{};
  // gx: like x. An absent gradient is not wanted; gx is always computed.
  Kernel<"group_norm_backward", void(const View& x, const GroupNormTerms& terms, const View& mean,
                                     const View& rstd, const GroupNormParams& p, const View& gy,
                                     const View& gx, const GroupNormTerms& grads)>
      group_norm_backward{};
  // y = (x - mean) rstd (weight + offset) + bias over rows. x, y: [R, D], row-major; weight, bias:
  // [G, D] or absent, D contiguous, row r takes line r / (R / G). mean (absent without centring),
  // rstd: [R], f32 (f64 for f64).
  Kernel<"row_norm",
         void(const View& x, const View& weight, const View& bias, const RowNormParams& p,
              const View& y, const View& mean, const View& rstd)>
      row_norm{};
  // gweight, gbias: [G, D] row-major; absent = not wanted.
  Kernel<"row_norm_backward", void(const View& x, const View& weight, const View& mean,
                                   const View& rstd, const RowNormParams& p, const View& gy,
                                   const View& gx, const View& gweight, const View& gbias)>
      row_norm_backward{};
  // x, y: [R, D] row-major.
  Kernel<"softmax", void(const View& x, const View& y)> softmax{};
  Kernel<"log_softmax", void(const View& x, const View& y)> log_softmax{};
};

}  // namespace brume
