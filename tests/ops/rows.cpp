#include <brume/core/error.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {

Rows all_rows() {
  Rows all;
  for (Rows (*family)() : {pointwise_rows, shape_rows, reduce_rows, index_rows, random_rows,
                           loss_rows, matmul_rows, norm_rows, fft_rows, resample_rows}) {
    Rows rows = family();
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

}  // namespace brume::op_table
