#pragma once
// The losses that every program needs; others are one line at the place of use.

#include <brume/core/tensor.h>

namespace brume {

enum class Reduction { none, mean, sum };

/// (x - y)^2, reduced.
Tensor mse_loss(const Tensor& x, const Tensor& y, Reduction reduction = Reduction::mean);
/// -log softmax(logits)[target]. @shape logits [N, classes], target [N] i64
Tensor cross_entropy(const Tensor& logits, const Tensor& target,
                     Reduction reduction = Reduction::mean);

}  // namespace brume
