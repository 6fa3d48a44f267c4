#pragma once

#include <brume/core/tensor.h>

namespace brume {

struct AttentionOptions {
  double scale = 0;     // 0: 1 / sqrt(D)
  bool causal = false;  // query i sees keys 0 .. i
  Tensor mask;  // added to the scores, or bool (false = hidden); broadcasts to [B, heads, L, S]
  bool fused = true;  // false: composed of differentiable operations (second derivatives)
};

/// softmax(q k^T * scale + mask) v. A row that sees nothing gives zeros.
/// @shape  q [B, heads, L, D], k [B, heads, S, D], v [B, heads, S, Dv] -> [B, heads, L, Dv]
/// @source Vaswani et al. 2017, arXiv:1706.03762; online softmax as in arXiv:2205.14135
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options = {});

}  // namespace brume
