#pragma once
// Attention in bf16 and f16 on the matrix unit.

#include <brume/core/kernels/attention.h>

namespace brume::cuda {

/// As AttentionKernels::attention, for heads up to 256 wide.
void attention_on_matrix_unit(const AttentionOperands& x, const AttentionParams& p, const View& o,
                              const View& lse);

/// Whether backward of these operands is served.
bool has_backward_on_matrix_unit(const AttentionOperands& x);
/// As AttentionKernels::attention_backward; delta [B, heads, L]: the sums of go o over a row.
void attention_backward_on_matrix_unit(const AttentionOperands& x, const AttentionParams& p,
                                       const View& lse, const float* delta, const View& go,
                                       const AttentionOperands& grads);

}  // namespace brume::cuda
