// Rows of autograd/ops/index.h and autograd/ops/random.h.

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

using In = const Tensors&;

Tensor indices(const std::vector<int64_t>& values, const Shape& shape, const Tensor& beside) {
  return from_vector(values, shape, beside.device());
}

Rows scatter_rows() {
  const Operand x = distinct({5, 2}), index = integers({8, 2}, 0, 5), source = distinct({8, 2});
  return {
      {"scatter",
       {normal({3, 5}), normal({3, 3})},
       [](In in) {
         return scatter(in[0], 1, indices({0, 2, 4, 1, 0, 3, 4, 3, 2}, {3, 3}, in[0]), in[1]);
       },
       {.second_order = true, .refuses = {{{3, 5}, {3, 2}}, {{2, 5}, {3, 3}}}}},
      {"scatter sum",
       {x, index, source},
       [](In in) { return scatter(in[0], 0, in[1], in[2], ScatterReduce::sum); },
       {.second_order = true}},
      {"scatter sum without self",
       {x, index, source},
       [](In in) { return scatter(in[0], 0, in[1], in[2], ScatterReduce::sum, false); },
       {.second_order = true}},
      {"scatter mean",
       {x, index, source},
       [](In in) { return scatter(in[0], 0, in[1], in[2], ScatterReduce::mean); },
       {.second_order = true}},
      {"scatter mean without self",
       {x, index, source},
       [](In in) { return scatter(in[0], 0, in[1], in[2], ScatterReduce::mean, false); },
       {.second_order = true}},
      {"scatter max",
       {x, index, source},
       [](In in) { return scatter(in[0], 0, in[1], in[2], ScatterReduce::max); },
       {.second_order = true}},
      {"scatter min without self",
       {x, index, source},
       [](In in) { return scatter(in[0], 0, in[1], in[2], ScatterReduce::min, false); },
       {.second_order = true}},
  };
}

Rows select_rows() {
  return {
      {"index_select",
       {normal({5, 3}), integers({4}, 0, 5)},
       [](In in) { return index_select(in[0], 0, in[1]); },
       {.second_order = true, .refuses = {{{2, 3}, {4}}, {{5, 3}, {2, 2}}}}},
      {"index_select of a middle axis",
       {normal({2, 5, 3}), integers({8}, 0, 5)},
       [](In in) { return index_select(in[0], 1, in[1]); },
       {.second_order = true, .batch = 1}},
      {"index_select of nothing",
       {normal({2, 5}), integers({0}, 0, 5)},
       [](In in) { return index_select(in[0], 1, in[1]); }},
      {"index_add",
       {normal({5, 3}), integers({9}, 0, 5), normal({9, 3})},
       [](In in) { return index_add(in[0], 0, in[1], in[2]); },
       {.second_order = true, .refuses = {{{5, 3}, {9}, {8, 3}}, {{2, 3}, {9}, {9, 3}}}}},
      {"index_add of many",
       {normal({300, 40}), integers({2000}, 0, 300), normal({2000, 40})},
       [](In in) { return index_add(in[0], 0, in[1], in[2]); }},
      {"segment_sum",
       {normal({9, 3}), integers({9}, 0, 5)},
       [](In in) { return segment_sum(in[0], Segments(in[1], 5)); },
       {.second_order = true, .refuses = {{{8, 3}, {9}}}}},
      {"segment_sum of many",
       {normal({2000, 40}), integers({2000}, 0, 300)},
       [](In in) { return segment_sum(in[0], Segments(in[1], 300)); }},
      {"segment_rows",
       {normal({5, 3}), integers({9}, 0, 5)},
       [](In in) { return segment_rows(in[0], Segments(in[1], 5)); },
       {.second_order = true, .refuses = {{{4, 3}, {9}}}}},
      {"gather",
       {normal({5, 4}), integers({3, 4}, 0, 5)},
       [](In in) { return gather(in[0], 0, in[1]); },
       {.second_order = true, .refuses = {{{5, 2}, {3, 4}}, {{5}, {3, 4}}, {{2, 4}, {3, 4}}}}},
      {"gather with repetitions",
       {normal({2, 5}), integers({2, 9}, 0, 5)},
       [](In in) { return gather(in[0], 1, in[1]); },
       {.second_order = true, .batch = 2}},
      {"embedding",
       {normal({5, 4}), integers({2, 3}, 0, 5)},
       [](In in) { return embedding(in[0], in[1]); },
       {.second_order = true, .refuses = {{{5}, {2, 3}}, {{2, 4}, {2, 3}}}}},
      {"masked_select",
       {normal({3, 4}), booleans({3, 4})},
       [](In in) { return masked_select(in[0], in[1]); },
       {.second_order = true, .refuses = {{{3, 4}, {4}}}}},
      {"nonzero", {booleans({3, 3})}, [](In in) { return nonzero(in[0]); }},
      {"sort",
       {distinct({3, 5})},
       [](In in) {
         const auto [values, positions] = sort(in[0], 1);
         return Tensors{values, positions};
       },
       {.second_order = true, .batch = 1, .refuses = {{{3}}}}},
      {"sort, descending",
       {distinct({5, 2})},
       [](In in) { return sort(in[0], 0, true).first; },
       {.second_order = true}},
      {"topk",
       {distinct({3, 5})},
       [](In in) {
         const auto [values, positions] = topk(in[0], 3, 1);
         return Tensors{values, positions};
       },
       {.second_order = true, .batch = 1, .refuses = {{{3, 2}}}}},
      {"topk, smallest",
       {distinct({5, 2})},
       [](In in) { return topk(in[0], 1, 0, false).first; },
       {.second_order = true}},
      {"searchsorted",
       {constant(uniform({2, 4}, 0, 1)), constant(uniform({2, 3}, 0, 4))},
       [](In in) {  // growing rows
         const Tensor steps = from_vector<double>({0, 1, 2, 3}, {4}, in[0].device());
         return searchsorted(in[0] + convert(steps, in[0].dtype()), in[1]);
       },
       {.batch = 2, .refuses = {{{2, 4}, {3, 3}}}}},
      {"bincount",
       {integers({9}, 0, 5)},
       [](In in) { return bincount(in[0], 7); },
       {.refuses = {{{3, 3}}}}},
  };
}

}  // namespace

Rows index_rows() {
  Rows all = select_rows(), more = scatter_rows();
  all.insert(all.end(), more.begin(), more.end());
  for (OpRow& row : all) row.flags.half_bound = 8e-3;
  return all;
}

// The operand only says on which device to draw: the bits are the same on all.
Rows random_rows() {
  const Operand place = constant(normal({1}));
  return {
      {"normal",
       {place},
       [](In in) {
         Generator rng(1);
         return normal({3, 700}, rng, {.device = in[0].device()});
       },
       {.bound = 0}},
      {"uniform",
       {place},
       [](In in) {
         Generator rng(1);
         return uniform({3, 700}, rng, {.device = in[0].device()});
       },
       {.bound = 0}},
      {"gamma",
       {place},
       [](In in) {
         Generator rng(1);
         return gamma({7}, 2.5, rng, {.device = in[0].device()});
       },
       {.bound = 0}},
      {"random_integers",
       {},
       [](In) {
         Generator rng(1);
         return random_integers({99}, -3, 4, rng);
       }},
      {"random_permutation",
       {},
       [](In) {
         Generator rng(1);
         return random_permutation(9, rng);
       }},
      {"dropout",
       {normal({3, 50})},
       [](In in) {
         Generator rng(1);
         return dropout(in[0], 0.3, rng);
       },
       {.second_order = true}},
      {"dropout of images",
       {normal({2, 3, 4, 4})},
       [](In in) {
         Generator rng(1);
         return dropout(in[0], 0.5, rng);
       }},
  };
}

}  // namespace brume::op_table
