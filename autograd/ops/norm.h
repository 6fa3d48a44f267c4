#pragma once
// Normalisations; statistics in f32 or wider.

#include <brume/core/tensor.h>

namespace brume {

enum class NormActivation { none, silu };

struct GroupNormOptions {
  double eps = 1e-5;
  /// Divide the variance by n - 1 instead of n (n values per sample and group). The reference's
  /// UNet does so in evaluation mode.
  bool unbiased = false;
  NormActivation activation = NormActivation::none;  // behind everything else
  // What stands around the norm of a UNet block, per sample and channel: [B, C] or undefined.
  Tensor add{};             // added to x, in front of the statistics
  Tensor scale{}, shift{};  // (affine result) * (1 + scale) + shift, in front of the activation
};

/// (x + add - mean) / sqrt(var + eps) * weight + bias per sample and group, then scale, shift and
/// the activation, in one pass; backward recomputes.
/// @shape  x [B, C, ...] of rank 2 to 5, weight and bias [C] or undefined -> as x (channels-last)
/// @throws ShapeError if groups does not divide C
/// @source Wu and He 2018, arXiv:1803.08494
Tensor group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups,
                  const GroupNormOptions& options = {});

/// Over the last axis. @shape x [..., D], weight and bias [D] or undefined
Tensor layer_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);
/// layer_norm(x) * (1 + scale) + shift with one line of scale and shift per sample, in one pass.
/// @shape  x [B, ..., D], scale and shift [B, D]
Tensor layer_norm_modulate(const Tensor& x, const Tensor& scale, const Tensor& shift,
                           double eps = 1e-6);
/// x / sqrt(mean(x^2) + eps) * weight over the last axis.
Tensor rms_norm(const Tensor& x, const Tensor& weight = {}, double eps = 1e-6);

/// Over the last axis; every row sums to 1.
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);

}  // namespace brume
