// Rows of autograd/ops/shape.h.

#include <brume/autograd/ops/shape.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {
using In = const Tensors&;
}

Rows shape_rows() {
  Rows rows = {
      {"reshape",
       {normal({2, 3, 4})},
       [](In in) {
         return reshape(in[0], {6, -1});
       },
       {.second_order = true, .refuses = {{{5, 5}}, {{5}}}}},
      {"reshape through size 1",
       {normal({1, 6, 1, 4})},
       [](In in) {
         return reshape(in[0], {2, 1, 3, 4, 1});
       },
       {.second_order = true}},
      {"reshape of nothing",
       {normal({0, 4})},
       [](In in) {
         return reshape(in[0], {4, 0, 2});
       }},
      {"reshape of one number",
       {normal({})},
       [](In in) {
         return reshape(in[0], {1, 1});
       }},
      {"permute",
       {normal({2, 3, 4})},
       [](In in) {
         return permute(in[0], {2, 0, 1});
       },
       {.second_order = true, .refuses = {{{2, 3}}}}},
      {"transpose",
       {normal({2, 3, 4})},
       [](In in) { return transpose(in[0], 0, -1); },
       {.second_order = true, .refuses = {{{}}}}},
      {"expand",
       {normal({3, 1})},
       [](In in) {
         return expand(in[0], {2, -1, 4});
       },
       {.second_order = true, .refuses = {{{3, 5}}}}},
      {"squeeze",
       {normal({2, 1, 3})},
       [](In in) { return squeeze(in[0], 1); },
       {.second_order = true, .refuses = {{{2, 3, 1}}, {{2}}}}},
      {"unsqueeze",
       {normal({2, 3})},
       [](In in) { return unsqueeze(in[0], -1); },
       {.second_order = true}},
      {"slice",
       {normal({7, 3})},
       [](In in) { return slice(in[0], 0, 1, -1, 2); },
       {.second_order = true, .refuses = {{{}}}}},
      {"slice of images",
       {normal({2, 3, 5, 4})},
       [](In in) { return slice(in[0], 2, 1, 4); },
       {.second_order = true, .batch = 1}},
      {"slice of nothing", {normal({4, 3})}, [](In in) { return slice(in[0], 0, 2, 2); }},
      {"select",
       {normal({3, 4, 2})},
       [](In in) { return select(in[0], 1, -1); },
       {.second_order = true, .refuses = {{{3, 0, 2}}}}},
      {"split",
       {normal({2, 7})},
       [](In in) {
         return split(in[0], {3, 0, 4}, 1);
       },
       {.second_order = true, .refuses = {{{2, 8}}, {{2, 6}}}}},
      {"split of images",
       {normal({2, 5, 3, 3})},
       [](In in) {
         return split(in[0], {2, 3}, 1);
       },
       {.second_order = true, .batch = 1}},
      {"split with parts unused",
       {normal({2, 6})},
       [](In in) {
         return split(in[0], {2, 2, 2}, 1)[1];
       },
       {.second_order = true}},
      {"chunk", {normal({2, 7})}, [](In in) { return chunk(in[0], 3, 1); }, {.second_order = true}},
      {"diagonal",
       {normal({3, 4})},
       [](In in) { return diagonal(in[0]); },
       {.second_order = true, .refuses = {{{3}}}}},
      {"diagonal below, of other axes",
       {normal({2, 5, 4})},
       [](In in) { return diagonal(in[0], -2, 1, 2); },
       {.second_order = true}},
      {"windows",
       {normal({7, 2})},
       [](In in) { return windows(in[0], 0, 3, 2); },
       {.second_order = true, .refuses = {{{2, 2}}}}},
      {"windows of a middle axis",
       {normal({2, 6, 3})},
       [](In in) { return windows(in[0], 1, 4, 1); },
       {.second_order = true}},
      {"cat",
       {normal({2, 3, 2}), normal({2, 1, 2})},
       [](In in) {
         return cat({in[0], in[1]}, 1);
       },
       {.second_order = true, .batch = 2, .refuses = {{{2, 3, 2}, {1, 3, 2}}, {{}, {}}}}},
      {"cat of images",
       {normal({2, 3, 4, 5}), normal({2, 6, 4, 5})},
       [](In in) {
         return cat({in[0], in[1]}, 1);
       },
       {.second_order = true, .batch = 2}},
      {"cat with nothing",
       {normal({2, 3}), normal({2, 0}), normal({2, 1})},
       [](In in) { return cat(in, -1); }},
      {"stack",
       {normal({2, 3}), normal({2, 3})},
       [](In in) { return stack(in, 1); },
       {.second_order = true, .refuses = {{{2, 3}, {3, 2}}}}},
      {"flip",
       {normal({3, 4})},
       [](In in) {
         return flip(in[0], {0, 1});
       },
       {.second_order = true, .refuses = {{{}}}}},
      {"flip of images",
       {normal({2, 3, 4, 5})},
       [](In in) { return flip(in[0], {-1}); },
       {.second_order = true, .batch = 1}},
      {"roll",
       {normal({3, 5})},
       [](In in) { return roll(in[0], -7, 1); },
       {.second_order = true, .refuses = {{{3}}}}},
      {"pad",
       {normal({2, 3})},
       [](In in) {
         return pad(in[0], {1, 2, 0, 1}, 0.5);
       },
       {.second_order = true, .refuses = {{{3}}}}},
      {"pad of images, cutting too",
       {normal({2, 3, 4, 4})},
       [](In in) {
         return pad(in[0], {-1, 2, 1, -2});
       },
       {.second_order = true, .batch = 1, .refuses = {{{2, 3, 1, 4}}}}},
      {"contiguous",
       {normal({2, 3, 4})},
       [](In in) { return contiguous(transpose(in[0], 0, 2)); },
       {.second_order = true}},
      {"contiguous, channels last",
       {normal({2, 3, 4, 2})},
       [](In in) { return contiguous(in[0], Layout::channels_last); },
       {.second_order = true, .batch = 1}},
      {"to f64 and back",
       {normal({3, 4})},
       [](In in) { return to(to(in[0], DType::f64), in[0].dtype()); },
       {.second_order = true}},
  };
  for (OpRow& row : rows) row.flags.half_bound = 4e-3;
  return rows;
}

}  // namespace brume::op_table
