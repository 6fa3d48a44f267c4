// Attention at the sizes of the models; rates count the two products of forward and the five of
// backward.

#include <cmath>

#include <brume/core/backend.h>
#include <brume/core/tensor.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

struct Arrays {
  Tensor q, k, v, o, lse, go, gq, gk, gv;
  AttentionParams p;

  // Tokens before heads in memory, as projections leave them.
  static Tensor heads(int64_t batch, int64_t count, int64_t tokens, int64_t width) {
    return alias(values({batch, tokens, count, width}), {batch, count, tokens, width},
                 {tokens * count * width, width, count * width, 1});
  }
  Arrays(int64_t batch, int64_t count, int64_t tokens, int64_t width)
      : lse(values({batch, count, tokens})), p{.scale = 1 / std::sqrt(static_cast<double>(width))} {
    for (Tensor* x : {&q, &k, &v, &o, &go, &gq, &gk, &gv}) *x = heads(batch, count, tokens, width);
  }
  AttentionOperands operands() const { return {.q = q.view(), .k = k.view(), .v = v.view()}; }
  AttentionOperands grads() const { return {.q = gq.view(), .k = gk.view(), .v = gv.view()}; }
  void forward() const { kernels(q).attention.attention(operands(), p, o.view(), lse.view()); }
  void backward() const {
    kernels(q).attention.attention_backward(operands(), p, o.view(), lse.view(), go.view(),
                                            grads());
  }
};

void add(Rows& rows, int64_t batch, int64_t heads, int64_t tokens, int64_t width) {
  const std::string name = cat("attention_", batch, "x", heads, "x", tokens, "x", width);
  const double product = 2.0 * static_cast<double>(batch * heads * tokens * tokens * width);
  rows.push_back({name + "_forward", [=] {
                    const Arrays a(batch, heads, tokens, width);
                    return Work{[=] { a.forward(); }, 2 * product};
                  }});
  rows.push_back({name + "_backward", [=] {
                    const Arrays a(batch, heads, tokens, width);
                    a.forward();
                    return Work{[=] { a.backward(); }, 5 * product};
                  }});
}

}  // namespace

void add_attention_rows(Rows& rows) {
  add(rows, 8, 6, 256, 64);
  add(rows, 16, 6, 64, 64);
  add(rows, 16, 1, 256, 64);
  add(rows, 1, 1, 256, 64);
}

}  // namespace brume::bench
