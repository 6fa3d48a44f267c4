// Rows of autograd/ops/matmul.h and autograd/ops/conv.h.

#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

using In = const Tensors&;

Rows conv_rows() {
  return {
      {"conv",
       {normal({2, 3, 5, 6}), normal({4, 3, 3, 3}), normal({4})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1}); },
       {.second_order = true,
        .half_bound = 2e-2,
        .batch = 1,
        .refuses = {{{2, 4, 5, 6}, {4, 3, 3, 3}, {4}},
                    {{2, 3, 5, 6}, {4, 3, 3, 3}, {3}},
                    {{2, 3}, {4, 3, 3, 3}, {4}}}}},
      {"conv, pointwise",
       {normal({2, 5, 4, 3}), normal({7, 5, 1, 1})},
       [](In in) { return conv(in[0], in[1]); },
       {.second_order = true, .half_bound = 2e-2, .batch = 1}},
      {"conv, strided, dilated, uneven",
       {normal({1, 2, 8, 7}), normal({3, 2, 3, 2})},
       [](In in) {
         return conv(in[0], in[1], {}, {.stride = {2, 1}, .padding = {2, 1}, .dilation = {2, 1}});
       },
       {.second_order = true, .half_bound = 2e-2}},
      {"conv in groups",
       {normal({2, 4, 5, 5}), normal({6, 2, 3, 3})},
       [](In in) { return conv(in[0], in[1], {}, {.padding = 1, .groups = 2}); },
       {.second_order = true,
        .half_bound = 2e-2,
        .batch = 1,
        .refuses = {{{2, 6, 5, 5}, {6, 2, 3, 3}}}}},
      {"conv of each channel by itself",
       {normal({2, 4, 5, 6}), normal({4, 1, 3, 3}), normal({4})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1, .groups = 4}); },
       {.second_order = true, .half_bound = 2e-2, .batch = 1}},
      {"conv of each of many channels by itself",
       {normal({2, 40, 6, 7}), normal({40, 1, 5, 3}), normal({40})},
       [](In in) {
         return conv(in[0], in[1], in[2], {.stride = {2, 1}, .padding = 1, .groups = 40});
       },
       {.half_bound = 2e-2, .batch = 1}},
      {"conv of each channel by itself in three dimensions",
       {normal({1, 11, 3, 4, 5}), normal({11, 1, 2, 2, 2})},
       [](In in) {
         return conv(in[0], in[1], {}, {.dilation = {1, 2, 1}, .groups = 11});
       },
       {.half_bound = 2e-2}},
      {"conv to few channels",
       {normal({2, 32, 5, 6}), normal({3, 32, 3, 3}), normal({3})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1}) / 17; },
       {.batch = 1}},
      {"conv of many channels",
       {normal({2, 32, 6, 6}), normal({40, 32, 3, 3}), normal({40})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1}) / 17; },
       {.batch = 1}},
      {"conv of many channels, direct",
       {normal({2, 32, 6, 6}), normal({40, 32, 3, 3}), normal({40})},
       [](In in) {
         return conv(in[0], in[1], in[2], {.padding = 1, .algorithm = ConvAlgorithm::direct}) / 17;
       },
       {.half_bound = 2e-2, .batch = 1}},
      {"conv of many channels, F(4x4)",
       {normal({2, 32, 6, 6}), normal({40, 32, 3, 3}), normal({40})},
       [](In in) {
         return conv(in[0], in[1], in[2], {.padding = 1, .algorithm = ConvAlgorithm::winograd_f4}) /
                17;
       },
       {.batch = 1}},
      {"conv in one dimension",
       {normal({2, 3, 9}), normal({4, 3, 3}), normal({4})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1}); },
       {.second_order = true, .batch = 1}},
      {"conv in three dimensions",
       {normal({1, 2, 4, 3, 4}), normal({3, 2, 2, 2, 2})},
       [](In in) { return conv(in[0], in[1]); },
       {.second_order = true}},
      {"conv to no channels",
       {normal({2, 3, 5, 6}), normal({0, 3, 3, 3}), normal({0})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1}); },
       {.second_order = true, .half_bound = 2e-2, .batch = 1}},
      {"conv of no channels",
       {normal({2, 0, 5, 6}), normal({4, 0, 3, 3}), normal({4})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1}); },
       {.second_order = true, .half_bound = 2e-2, .batch = 1}},
      {"conv in one dimension to no channels",
       {normal({2, 3, 9}), normal({0, 3, 3})},
       [](In in) { return conv(in[0], in[1]); }},
      {"conv in three dimensions to no channels",
       {normal({1, 2, 4, 3, 4}), normal({0, 2, 2, 2, 2})},
       [](In in) { return conv(in[0], in[1]); }},
      {"conv_transpose",
       {normal({2, 3, 4, 3}), normal({3, 2, 3, 3}), normal({2})},
       [](In in) {
         return conv_transpose(in[0], in[1], in[2],
                               {.stride = 2, .padding = 1, .output_padding = 1});
       },
       {.second_order = true, .batch = 1, .refuses = {{{2, 4, 4, 3}, {3, 2, 3, 3}, {2}}}}},
      {"conv_transpose in groups",
       {normal({1, 4, 3, 3}), normal({4, 2, 2, 2})},
       [](In in) { return conv_transpose(in[0], in[1], {}, {.stride = 2, .groups = 2}); },
       {.second_order = true}},
      {"conv_transpose to no channels",
       {normal({2, 3, 4, 3}), normal({3, 0, 3, 3}), normal({0})},
       [](In in) { return conv_transpose(in[0], in[1], in[2], {.stride = 2}); },
       {.second_order = true}},
      {"conv_transpose of no channels",
       {normal({2, 0, 4, 3}), normal({0, 2, 3, 3}), normal({2})},
       [](In in) { return conv_transpose(in[0], in[1], in[2], {.stride = 2}); },
       {.second_order = true}},
  };
}

}  // namespace

Rows matmul_rows() {
  Rows all = {
      {"matmul",
       {normal({4, 5}), normal({5, 3})},
       [](In in) { return matmul(in[0], in[1]); },
       {.second_order = true, .batch = 1, .refuses = {{{4, 5}, {4, 3}}, {{}, {5, 3}}}}},
      {"matmul of batches",
       {normal({2, 1, 3, 4}), normal({5, 4, 2})},
       [](In in) { return matmul(in[0], in[1]); },
       {.second_order = true,
        .half_bound = 2e-2,
        .batch = 1,
        .refuses = {{{2, 3, 3, 4}, {5, 4, 2}}}}},
      {"matmul with a vector",
       {normal({2, 3, 4}), normal({4})},
       [](In in) { return matmul(in[0], in[1]); },
       {.second_order = true, .batch = 1}},
      {"matmul of vectors",
       {normal({7}), normal({7})},
       [](In in) { return matmul(in[0], in[1]); },
       {.second_order = true}},
      {"matmul over nothing",
       {normal({3, 0}), normal({0, 2})},
       [](In in) { return matmul(in[0], in[1]); }},
      {"matmul of large matrices",
       {uniform({70, 300}, 0, 1), uniform({300, 90}, 0, 1)},
       [](In in) { return matmul(in[0], in[1]) / 300; },
       {.batch = 1}},
      {"linear",
       {normal({2, 3, 5}), normal({4, 5}), normal({4})},
       [](In in) { return linear(in[0], in[1], in[2]); },
       {.second_order = true,
        .half_bound = 2e-2,
        .batch = 1,
        .refuses = {{{2, 3, 4}, {4, 5}, {4}}, {{2, 3, 5}, {4, 5}, {5}}}}},
      {"linear of whole chunks",
       {normal({2, 12, 72}), normal({40, 72}), normal({40})},
       [](In in) { return linear(in[0], in[1], in[2]) / 9; },
       {.half_bound = 2e-2, .batch = 1}},
      {"linear without bias",
       {normal({33, 20}), normal({17, 20})},
       [](In in) { return linear(in[0], in[1]); },
       {.second_order = true, .batch = 1}},
  };
  const Rows more = conv_rows();
  all.insert(all.end(), more.begin(), more.end());
  for (OpRow& row : all) {
    row.flags.bound = 1e-5;
    row.flags.gradient_bound = 2e-5;
    row.flags.products = true;
  }
  return all;
}

}  // namespace brume::op_table
