// Rows of autograd/ops/resample.h.

#include <brume/autograd/ops/resample.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

using In = const Tensors&;
const OpFlags kSmooth = {.second_order = true, .batch = 1};

Rows pools() {
  return {
      {"avg_pool, windows over the border",
       {normal({2, 3, 5, 7})},
       [](In in) {
         return avg_pool(
             in[0], {.kernel = {3, 2}, .stride = {2, 2}, .padding = {1, 0}, .ceil_mode = true});
       },
       {.second_order = true, .batch = 1, .refuses = {{{2, 3, 5}}, {{2, 3, 0, 7}}}}},
      {"max_pool",
       {distinct({2, 2, 5, 6})},
       [](In in) {
         return max_pool(in[0], {.kernel = {2, 3}, .padding = {1, 0}});
       },
       {.batch = 1, .refuses = {{{2, 3, 5}}}}},
      {"adaptive_avg_pool",
       {normal({2, 2, 7})},
       [](In in) { return adaptive_avg_pool(in[0], {3}); },
       kSmooth},
  };
}

Rows interpolations() {
  Rows rows;
  for (const auto& [name, mode] : {std::pair{"nearest", InterpolateMode::nearest},
                                   {"nearest_exact", InterpolateMode::nearest_exact},
                                   {"linear", InterpolateMode::linear},
                                   {"cubic", InterpolateMode::cubic},
                                   {"area", InterpolateMode::area}})
    rows.push_back({cat("interpolate, ", name),
                    {normal({2, 2, 4, 5})},
                    [mode = mode](In in) {
                      return interpolate(in[0], {6, 3}, {.mode = mode});
                    },
                    kSmooth});
  rows.push_back({"interpolate, corners aligned",
                  {normal({2, 1, 3, 4, 2})},
                  [](In in) {
                    return interpolate(in[0], {5, 1, 4}, {InterpolateMode::linear, true});
                  },
                  kSmooth});
  return rows;
}

Rows rearrangements() {
  return {
      {"pad_with, reflect",
       {normal({2, 4, 5})},
       [](In in) {
         return pad_with(in[0], {2, 1, 3, 0}, PadMode::reflect);
       },
       {.second_order = true, .batch = 1, .refuses = {{{2, 3, 5}}, {{2, 4, 0}}}}},
      {"pad_with, replicate",
       {normal({2, 2, 3})},
       [](In in) {
         return pad_with(in[0], {4, 1}, PadMode::replicate);
       },
       kSmooth},
      {"pad_with, circular",
       {normal({2, 2, 3})},
       [](In in) {
         return pad_with(in[0], {3, 1}, PadMode::circular);
       },
       kSmooth},
      {"unfold",
       {normal({2, 2, 4, 5})},
       [](In in) {
         return unfold(in[0], {2, 3}, {2, 1});
       },
       {.second_order = true, .batch = 1, .refuses = {{{2, 4, 5}}}}},
      {"fold",
       {normal({2, 8, 9})},
       [](In in) {
         return fold(in[0], {4, 4}, {2, 2});
       },
       {.second_order = true, .batch = 1, .refuses = {{{2, 8, 8}}, {{2, 7, 9}}}}},
      {"pixel_shuffle",
       {normal({2, 8, 2, 1, 3})},
       [](In in) { return pixel_shuffle(in[0], 2); },
       {.second_order = true, .batch = 1, .refuses = {{{2, 9, 2, 1, 3}}}}},
      {"pixel_unshuffle",
       {normal({2, 2, 4, 6})},
       [](In in) { return pixel_unshuffle(in[0], 2); },
       {.second_order = true, .batch = 1, .refuses = {{{2, 2, 4, 5}}}}},
      {"grid_sample",
       {normal({2, 2, 4, 5}), uniform({2, 3, 3, 2}, -1.3, 1.3)},
       [](In in) { return grid_sample(in[0], in[1]); },
       {.bound = 1e-5,
        .gradient_bound = 1e-4,
        .batch = 2,
        .refuses = {{{2, 2, 4, 5}, {2, 3, 3, 3}}, {{2, 2, 4, 5}, {1, 3, 3, 2}}}}},
  };
}

}  // namespace

Rows resample_rows() {
  Rows rows;
  for (Rows (*part)() : {pools, interpolations, rearrangements}) {
    Rows more = part();
    rows.insert(rows.end(), more.begin(), more.end());
  }
  return rows;
}

}  // namespace brume::op_table
