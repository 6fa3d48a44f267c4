#pragma once
// Attention in bf16 and f16, forward, on the matrix unit.

#include <brume/core/kernels/attention.h>

namespace brume::cuda {

/// As AttentionKernels::attention, for heads up to 256 wide.
void attention_on_matrix_unit(const AttentionOperands& x, const AttentionParams& p, const View& o,
                              const View& lse);

}  // namespace brume::cuda
