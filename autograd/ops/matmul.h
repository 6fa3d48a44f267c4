#pragma once
// Products of matrices.

#include <brume/core/tensor.h>

namespace brume {

/// Matrix product over the last two axes; leading axes broadcast. Rank 1 operands are a row (left)
/// or a column (right), whose axis leaves the result, as in NumPy.
/// @shape  x [..., M, K], y [..., K, N] -> [..., M, N]
/// @throws ShapeError if K differs or the leading axes do not broadcast
Tensor matmul(const Tensor& x, const Tensor& y);

/// x W^T + b over the last axis.
/// @shape  x [..., I], weight [O, I], bias [O] or undefined -> [..., O]
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace brume
