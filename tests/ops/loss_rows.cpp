// Rows of autograd/ops/loss.h.

#include <brume/autograd/ops/loss.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {
using In = const Tensors&;
}

Rows loss_rows() {
  return {
      {"mse_loss",
       {normal({3, 4}), normal({3, 4})},
       [](In in) { return mse_loss(in[0], in[1]); },
       {.second_order = true, .refuses = {{{3, 4}, {4}}}}},
      {"mse_loss of each element",
       {normal({3, 4}), normal({3, 4})},
       [](In in) { return mse_loss(in[0], in[1], Reduction::none); },
       {.second_order = true, .batch = 2}},
      {"cross_entropy",
       {normal({4, 3}), integers({4}, 0, 3)},
       [](In in) { return cross_entropy(in[0], in[1]); },
       {.refuses = {{{4, 3}, {3}}, {{4}, {4}}}}},
      {"cross_entropy, summed",
       {normal({4, 3}), integers({4}, 0, 3)},
       [](In in) { return cross_entropy(in[0], in[1], Reduction::sum); }},
  };
}

}  // namespace brume::op_table
