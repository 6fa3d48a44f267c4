#pragma once
// What the op table proves about a row. No test framework: `brume selftest` runs it too.

#include <string>
#include <vector>

#include "tests/ops/op_row.h"

namespace brume::op_table {

struct Failure {
  std::string row, check, text;
};

/// Whether the row's results have gradients, for which its operands ask.
bool has_gradient(const OpRow& row);

/// On the CPU every check that applies to the row: shape errors, finite differences (first and
/// second order), f32 against f64, half types, strides, threads, batches (of nothing too), changed
/// saved values. On another device, that results and gradients are the CPU's; of a row that is
/// cpu_only, that the device says that it has no kernel.
std::vector<Failure> check_row(const OpRow& row, Device device = kCpu);

/// Only that results and gradients in f32 have the same bits on 1, 2, 3, 4 and 7 threads.
std::vector<Failure> check_threads(const OpRow& row);

/// Operations of `header` (the text of a file of autograd/ops) that no row names.
std::vector<std::string> without_row(const std::string& header, const Rows& rows);

}  // namespace brume::op_table
