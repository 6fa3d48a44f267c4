#include "selftest.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include <brume/core/backend.h>

#include "tests/ops/checks.h"

namespace brume::tools {
namespace {

// What is checked of a row, as check_row has it: second derivatives on the CPU alone.
const char* checks_of(const op_table::OpRow& row, Device device) {
  const bool gradient = std::any_of(row.operands.begin(), row.operands.end(), [](const auto& o) {
    using Kind = op_table::Operand::Kind;
    return o.gradient && o.kind != Kind::integers && o.kind != Kind::booleans;
  });
  if (!gradient) return "value";
  return row.flags.second_order && device == kCpu ? "value, gradient, second" : "value, gradient";
}

}  // namespace

int selftest(Device device, bool coverage) {
  const op_table::Rows rows = op_table::all_rows();
  size_t width = 0, failed = 0, without_kernel = 0;
  for (const auto& row : rows) width = std::max(width, row.name.size());
  for (const auto& row : rows) {
    const auto failures = op_table::check_row(row, device);
    const bool missing = std::all_of(failures.begin(), failures.end(),
                                     [](const op_table::Failure& f) { return f.missing_kernel; });
    if (!failures.empty()) ++(missing ? without_kernel : failed);
    if (coverage)
      std::printf("%-*s  %-23s  %s\n", static_cast<int>(width), row.name.c_str(),
                  checks_of(row, device),
                  failures.empty() ? "holds"
                  : missing        ? "no kernel"
                                   : "FAILED");
    for (const auto& f : failures)
      std::printf("%s  %s, %s: %s\n", f.missing_kernel ? "absent" : "FAILED", f.row.c_str(),
                  f.check.c_str(), f.text.c_str());
  }
  std::printf("%zu rows on the %s: %zu passed, %zu failed, %zu without a kernel\n", rows.size(),
              name(device.type), rows.size() - failed - without_kernel, failed, without_kernel);
  if (const auto libraries = backend(device.type).libraries)
    std::printf("%s\n", libraries().c_str());
  return failed == 0 ? 0 : 1;
}

}  // namespace brume::tools
