#pragma once
// Scaled dot-product attention.

#include <brume/core/tensor.h>

namespace brume {

struct AttentionOptions {
  double scale = 0;     // 0: 1 / sqrt(D)
  bool causal = false;  // query i sees keys 0 .. i
  Tensor mask{};  // added to the scores, or bool (false = hidden); broadcasts to [B, heads, L, S]
  bool fused = true;  // false: composed of differentiable operations (second derivatives)
};

/// softmax(q k^T * scale + mask) v. A row that sees nothing gives zeros. Any strides; the result
/// lies in memory as [B, L, heads, Dv], so that joining the heads is a view.
/// @shape  q [B, heads, L, D], k [B, heads, S, D], v [B, heads, S, Dv] -> [B, heads, L, Dv]
/// @source Vaswani et al. 2017, arXiv:1706.03762; online softmax as in arXiv:2205.14135
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options = {});

/// attention(qkv[0], qkv[1], qkv[2]) with one gradient for all three: no copies on the way from
/// and to a joint projection. Pass a permuted view of the projection's result.
/// @shape  qkv [3, B, heads, L, D] -> [B, heads, L, D]
Tensor self_attention(const Tensor& qkv, const AttentionOptions& options = {});

}  // namespace brume
