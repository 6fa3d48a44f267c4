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
  if (!(device == kCpu) && !row.flags.cpu_only.empty()) return "refusal";
  if (!op_table::has_gradient(row)) return "value; has no gradient";
  return row.flags.second_order && device == kCpu ? "value, gradient, second" : "value, gradient";
}

}  // namespace

int selftest(Device device, bool coverage) {
  const op_table::Rows rows = op_table::all_rows();
  size_t width = 0, failed = 0, refused = 0;
  for (const auto& row : rows) width = std::max(width, row.name.size());
  for (const auto& row : rows) {
    const auto failures = op_table::check_row(row, device);
    const bool cpu_only = !(device == kCpu) && !row.flags.cpu_only.empty();
    if (!failures.empty()) ++failed;
    if (failures.empty() && cpu_only) ++refused;
    if (coverage)
      std::printf("%-*s  %-23s  %s\n", static_cast<int>(width), row.name.c_str(),
                  checks_of(row, device),
                  !failures.empty() ? "FAILED"
                  : cpu_only        ? cat("no kernel: ", row.flags.cpu_only).c_str()
                                    : "holds");
    for (const auto& f : failures)
      std::printf("FAILED  %s, %s: %s\n", f.row.c_str(), f.check.c_str(), f.text.c_str());
  }
  std::printf("%zu rows on the %s: %zu passed, %zu failed", rows.size(), name(device.type),
              rows.size() - failed - refused, failed);
  std::printf(refused > 0 ? ", %zu for the CPU alone\n" : "\n", refused);
  if (const auto libraries = backend(device.type).libraries)
    std::printf("%s\n", libraries().c_str());
  return failed == 0 ? 0 : 1;
}

}  // namespace brume::tools
