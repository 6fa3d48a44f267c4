#pragma once
// Family attention: softmax(q k^T * scale + mask) v without storing the probabilities.

#include <brume/core/kernels/kernel.h>

namespace brume {

struct AttentionParams {
  double scale = 1;
  bool causal = false;  // query i sees keys 0 .. i
};

/// Operands, or the gradients of operands, in any strides.
/// mask: of q's dtype (added) or bool (false = hidden), [B, heads, L, S] by stride 0, or absent.
struct AttentionOperands {
  View q{};       // [B, heads, L, D]
  View k{}, v{};  // [B, heads, S, D], [B, heads, S, Dv]
  View mask{};
};

struct AttentionKernels {
  // o: [B, heads, L, Dv], any strides. lse: [B, heads, L], row-major, f32 (f64 for f64): log of
  // each row's sum of exp(score), -inf where a row sees nothing (its o is 0).
  Kernel<"attention",
         void(const AttentionOperands& x, const AttentionParams& p, const View& o, const View& lse)>
      attention{};
  // grads.q, k, v: written whole. grads.mask: full [B, heads, L, S] row-major, or absent.
  Kernel<"attention_backward",
         void(const AttentionOperands& x, const AttentionParams& p, const View& o, const View& lse,
              const View& go, const AttentionOperands& grads)>
      attention_backward{};
};

}  // namespace brume
