// Rows of autograd/ops/reduce.h.

#include <brume/autograd/ops/reduce.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

using In = const Tensors&;

// f32 sums may err by 20 units of the last place of sum |x| (kernels/reduce.h); the table's bounds
// are on the scale of the result, so long sums of numbers of both signs state more.
Rows sum_rows() {
  return {
      {"sum", {normal({3, 4})}, [](In in) { return sum(in[0]); }, {.second_order = true}},
      {"sum of rows",
       {normal({3, 4, 2})},
       [](In in) {
         return sum(in[0], {1, -1});
       },
       {.second_order = true, .batch = 1, .refuses = {{{3}}}}},
      {"sum of columns",
       {normal({5, 70})},
       [](In in) { return sum(in[0], 0, keep_axis); },
       {.refuses = {{{}}}}},
      {"sum of narrow columns", {uniform({1500, 3}, 0, 1)}, [](In in) { return sum(in[0], 0); }},
      {"sum over images",
       {normal({2, 5, 4, 3})},
       [](In in) {
         return sum(in[0], {2, 3});
       },
       {.batch = 1}},
      {"sum over everything but channels",
       {normal({2, 5, 4, 3})},
       [](In in) {
         return sum(in[0], {0, 2, 3});
       },
       {.second_order = true}},
      {"sum of many",
       {uniform({3, 40000}, 0, 1)},
       [](In in) { return sum(in[0], 1) * (1.0 / 40000); },
       {.batch = 1}},
      {"sum of many rows",
       {uniform({3, 3000, 5}, 0, 1)},
       [](In in) { return sum(in[0], 1) * (1.0 / 3000); },
       {.batch = 1}},
      {"sum of nothing", {normal({0, 3})}, [](In in) { return sum(in[0], 0); }},
      {"sum of one number", {normal({})}, [](In in) { return sum(in[0]); }},
      {"sum of integers", {integers({3, 4}, -5, 5)}, [](In in) { return sum(in[0], 1); }},
      {"sum of truth values", {booleans({3, 4})}, [](In in) { return sum(in[0], 0); }},
      {"mean", {normal({3, 4})}, [](In in) { return mean(in[0]); }, {.second_order = true}},
      {"mean of rows",
       {normal({3, 4, 2})},
       [](In in) {
         return mean(in[0], {1, 2}, keep_axis);
       },
       {.second_order = true, .batch = 1, .refuses = {{{3}}}}},
      {"var", {normal({3, 4})}, [](In in) { return var(in[0]); }, {.second_order = true}},
      {"var of columns, biased",
       {normal({5, 3})},
       [](In in) { return var(in[0], 0, 0); },
       {.second_order = true, .refuses = {{{}}}}},
      {"prod",
       {normal({3, 4})},
       [](In in) { return prod(in[0]); },
       {.second_order = true, .bound = 1e-5}},
      {"prod of some axes",
       {normal({2, 3, 4})},
       [](In in) {
         return prod(in[0], {0, 2}, keep_axis);
       },
       {.second_order = true, .refuses = {{{2}}}}},
      {"prod with a zero",
       {normal({2, 5})},
       [](In in) {
         return prod(in[0] * scalar(0, {.dtype = in[0].dtype(), .device = in[0].device()}), 1);
       },
       {.second_order = true}},
      {"any", {booleans({3, 2})}, [](In in) { return any(in[0], 1); }, {.refuses = {{{3}}}}},
      {"all",
       {booleans({3, 2})},
       [](In in) { return all(in[0], 0, keep_axis); },
       {.refuses = {{{}}}}},
  };
}

Rows extremum_rows() {
  return {
      {"max", {distinct({3, 4})}, [](In in) { return max(in[0]); }, {.second_order = true}},
      {"max of rows",
       {distinct({3, 4, 5})},
       [](In in) {
         return max(in[0], {1, 2});
       },
       {.second_order = true, .batch = 1, .refuses = {{{3}}, {{3, 0, 5}}}}},
      {"max of columns", {distinct({70, 9})}, [](In in) { return max(in[0], 0); }},
      {"min",
       {distinct({3, 4})},
       [](In in) { return min(in[0], 1, keep_axis); },
       {.second_order = true, .refuses = {{{3}}, {{3, 0}}}}},
      {"argmax",
       {constant(distinct({3, 4}))},
       [](In in) { return argmax(in[0], -1); },
       {.batch = 1, .refuses = {{{}}, {{3, 0}}}}},
      {"argmin",
       {constant(distinct({3, 4, 5}))},
       [](In in) { return argmin(in[0], 1, keep_axis); },
       {.refuses = {{{3}}}}},
      {"logsumexp",
       {normal({3, 4})},
       [](In in) { return logsumexp(in[0], 1); },
       {.second_order = true, .batch = 1, .refuses = {{{3}}}}},
      {"logsumexp of large numbers",
       {uniform({3, 4}, 800, 900)},
       [](In in) { return logsumexp(in[0], {}, keep_axis); },
       {.gradient_bound = 1e-4}},  // an f32 near 900 is known to 3e-5, so exp(x - y) is too
      {"vector_norm",
       {normal({3, 4})},
       [](In in) { return vector_norm(in[0]); },
       {.second_order = true}},
      {"vector_norm of rows, p = 3",
       {normal({3, 4})},
       [](In in) { return vector_norm(in[0], 3, 1); },
       {.second_order = true, .batch = 1, .refuses = {{{3}}}}},
      {"vector_norm, p = 1",
       {normal({3, 4})},
       [](In in) { return vector_norm(in[0], 1, 0, keep_axis); }},
      {"vector_norm, p = infinity",
       {distinct({3, 5})},
       [](In in) { return vector_norm(in[0], INFINITY, 1); }},
      {"vector_norm, p = 0",
       {constant(normal({3, 4}))},
       [](In in) { return vector_norm(in[0], 0); }},
  };
}

Rows scan_rows() {
  return {
      {"cumsum",
       {normal({3, 5})},
       [](In in) { return cumsum(in[0], -1); },
       {.second_order = true, .batch = 1, .refuses = {{{}}}}},
      {"cumsum of a middle axis",
       {normal({2, 4, 3})},
       [](In in) { return cumsum(in[0], 1); },
       {.second_order = true}},
      {"cumsum of nothing", {normal({0, 3})}, [](In in) { return cumsum(in[0], 0); }},
      {"cumsum of integers", {integers({7}, 0, 9)}, [](In in) { return cumsum(in[0], 0); }},
      {"cumprod",
       {normal({3, 5})},
       [](In in) { return cumprod(in[0], 1); },
       {.second_order = true, .batch = 1, .refuses = {{{}}}}},
      {"cumprod with a zero",
       {normal({4, 2})},
       [](In in) {
         const Tensor mask = from_vector<double>({1, 0, 1, 1}, {4, 1}, in[0].device());
         return cumprod(in[0] * convert(mask, in[0].dtype()), 0);
       },
       {.second_order = true}},
  };
}

}  // namespace

Rows reduce_rows() {
  Rows all = sum_rows();
  for (const Rows& more : {extremum_rows(), scan_rows()})
    all.insert(all.end(), more.begin(), more.end());
  for (OpRow& row : all)  // a bf16 near 900 is known to 2, and so would be its exponential
    if (row.name != "logsumexp of large numbers") row.flags.half_bound = 1.5e-2;
  return all;
}

}  // namespace brume::op_table
