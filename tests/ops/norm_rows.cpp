// Rows of autograd/ops/norm.h and autograd/ops/attention.h.

#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/norm.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

using In = const Tensors&;

Rows attention_rows() {
  const Operand q = normal({2, 2, 5, 4}), k = normal({2, 2, 7, 4}), v = normal({2, 2, 7, 3});
  return {
      {"attention",
       {q, k, v},
       [](In in) { return attention(in[0], in[1], in[2]); },
       {.batch = 3,
        .refuses = {{{2, 2, 5, 4}, {2, 2, 7, 3}, {2, 2, 7, 3}},
                    {{2, 2, 5, 4}, {2, 2, 7, 4}, {2, 2, 6, 3}},
                    {{5, 4}, {7, 4}, {7, 3}}}}},
      {"attention, composed",
       {q, k, v},
       [](In in) { return attention(in[0], in[1], in[2], {.fused = false}); },
       {.second_order = true, .batch = 3}},
      {"attention, causal",
       {normal({1, 2, 6, 4}), normal({1, 2, 6, 4}), normal({1, 2, 6, 4})},
       [](In in) { return attention(in[0], in[1], in[2], {.scale = 0.3, .causal = true}); }},
      {"attention over several tiles",
       {normal({1, 1, 70, 72}), normal({1, 1, 130, 72}), normal({1, 1, 130, 40})},
       [](In in) { return attention(in[0], in[1], in[2]); }},
      {"attention over several tiles, causal",
       {normal({1, 2, 133, 8}), normal({1, 2, 133, 8}), normal({1, 2, 133, 8})},
       [](In in) { return attention(in[0], in[1], in[2], {.causal = true}); }},
      {"attention of wide heads",
       {normal({1, 1, 5, 136}), normal({1, 1, 9, 136}), normal({1, 1, 9, 136})},
       [](In in) { return attention(in[0], in[1], in[2]); }},
      {"attention of width 0",
       {normal({1, 2, 5, 0}), normal({1, 2, 7, 0}), normal({1, 2, 7, 3})},
       [](In in) { return attention(in[0], in[1], in[2], {.scale = 1}); }},
      {"attention to values of width 0",
       {normal({1, 2, 5, 4}), normal({1, 2, 7, 4}), normal({1, 2, 7, 0})},
       [](In in) { return attention(in[0], in[1], in[2]); }},
      {"attention with a mask to add",
       {q, k, v, constant(normal({5, 7}))},
       [](In in) { return attention(in[0], in[1], in[2], {.mask = in[3]}); },
       {.batch = 3, .refuses = {{{2, 2, 5, 4}, {2, 2, 7, 4}, {2, 2, 7, 3}, {5, 6}}}}},
      {"attention with a mask to learn",
       {q, k, v, normal({2, 5, 7})},
       [](In in) { return attention(in[0], in[1], in[2], {.mask = in[3]}); }},
      {"attention with a mask that hides",
       {q, k, v, booleans({2, 1, 5, 7})},
       [](In in) { return attention(in[0], in[1], in[2], {.mask = in[3]}); }},
      {"self_attention",
       {normal({3, 2, 2, 5, 4})},
       [](In in) { return self_attention(in[0]); },
       {.refuses = {{{2, 2, 2, 5, 4}}, {{3, 2, 5, 4}}}}},
  };
}

Rows group_norm_rows() {
  return {
      {"group_norm",
       {normal({2, 6, 4, 3}), normal({6}), normal({6})},
       [](In in) { return group_norm(in[0], in[1], in[2], 3); },
       {.batch = 1,
        .refuses = {{{2, 5, 4, 3}, {5}, {5}}, {{2, 6, 4, 3}, {5}, {6}}, {{6}, {6}, {6}}}}},
      {"group_norm, unbiased, with everything around it",
       {normal({2, 6, 4, 3}), normal({6}), normal({6}), normal({2, 6}), normal({2, 6}),
        normal({2, 6})},
       [](In in) {
         return group_norm(in[0], in[1], in[2], 2,
                           {.unbiased = true,
                            .activation = NormActivation::silu,
                            .add = in[3],
                            .scale = in[4],
                            .shift = in[5]});
       }},
      {"group_norm without affine part",
       {normal({3, 4, 5})},
       [](In in) { return group_norm(in[0], {}, {}, 2); },
       {.batch = 1}},
  };
}

}  // namespace

Rows norm_rows() {
  Rows all = {
      {"layer_norm",
       {normal({3, 2, 5}), normal({5}), normal({5})},
       [](In in) { return layer_norm(in[0], in[1], in[2]); },
       {.batch = 1, .refuses = {{{3, 2, 5}, {4}, {5}}, {{}, {5}, {5}}}}},
      {"layer_norm of long lines",
       {normal({3, 300})},
       [](In in) { return layer_norm(in[0]); },
       {.batch = 1}},
      {"layer_norm_modulate",
       {normal({2, 3, 5}), normal({2, 5}), normal({2, 5})},
       [](In in) { return layer_norm_modulate(in[0], in[1], in[2]); },
       {.batch = 3, .refuses = {{{2, 3, 5}, {2, 4}, {2, 5}}}}},
      {"rms_norm",
       {normal({3, 2, 5}), normal({5})},
       [](In in) { return rms_norm(in[0], in[1]); },
       {.batch = 1, .refuses = {{{3, 2, 5}, {4}}}}},
      {"softmax",
       {normal({3, 2, 5})},
       [](In in) { return softmax(in[0]); },
       {.second_order = true, .batch = 1, .refuses = {{{}}}}},
      {"softmax of long lines",
       {uniform({2, 400}, -9, 9)},
       [](In in) { return softmax(in[0]); },
       {.batch = 1}},
      {"log_softmax",
       {normal({3, 2, 5})},
       [](In in) { return log_softmax(in[0]); },
       {.second_order = true, .batch = 1, .refuses = {{{}}}}},
  };
  for (const Rows& more : {group_norm_rows(), attention_rows()})
    all.insert(all.end(), more.begin(), more.end());
  for (OpRow& row : all) {
    row.flags.bound = 1e-5;
    row.flags.gradient_bound = 2e-5;
    // Composed attention multiplies matrices, which takes no half types.
    if (row.name != "attention, composed") row.flags.half_bound = 1.5e-2;
  }
  return all;
}

}  // namespace brume::op_table
