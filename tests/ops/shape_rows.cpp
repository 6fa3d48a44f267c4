// Rows of autograd/ops/shape.h.

#include <brume/autograd/ops/shape.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {

Rows shape_rows() {
  return {
      {"reshape",
       {normal({2, 3, 4})},
       [](const Tensors& in) {
         return reshape(in[0], {6, -1});
       },
       {.second_order = true, .refuses = {{{5, 5}}}}},
      {"permute",
       {normal({2, 3, 4})},
       [](const Tensors& in) {
         return permute(in[0], {2, 0, 1});
       },
       {.second_order = true, .refuses = {{{2, 3}}}}},
      {"cat",
       {normal({2, 3, 2}), normal({2, 1, 2})},
       [](const Tensors& in) {
         return cat({in[0], in[1]}, 1);
       },
       {.second_order = true, .batch = true, .refuses = {{{2, 3, 2}, {1, 3, 2}}}}},
  };
}

}  // namespace brume::op_table
