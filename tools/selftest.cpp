#include "selftest.h"

#include <algorithm>
#include <cstdio>

#include "tests/ops/checks.h"

namespace brume::tools {
namespace {

int list_coverage(const op_table::Rows& rows) {
  size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.name.size());
  int with_gradient = 0;
  for (const auto& row : rows) {
    const bool gradient = std::any_of(row.operands.begin(), row.operands.end(), [](const auto& o) {
      using Kind = op_table::Operand::Kind;
      return o.gradient && o.kind != Kind::integers && o.kind != Kind::booleans;
    });
    with_gradient += gradient ? 1 : 0;
    std::printf("%-*s  %s%s\n", static_cast<int>(width), row.name.c_str(),
                gradient ? "gradient" : "no gradient to check",
                row.flags.second_order ? ", second order" : "");
  }
  std::printf("%zu rows, %d with a gradient check\n", rows.size(), with_gradient);
  return 0;
}

}  // namespace

int selftest(Device device, bool coverage) {
  const op_table::Rows rows = op_table::all_rows();
  if (coverage) return list_coverage(rows);
  size_t failed = 0, without_kernel = 0;
  for (const auto& row : rows) {
    const auto failures = op_table::check_row(row, device);
    const auto missing = [](const op_table::Failure& f) { return f.missing_kernel; };
    if (!failures.empty())
      ++(std::all_of(failures.begin(), failures.end(), missing) ? without_kernel : failed);
    for (const auto& f : failures)
      std::printf("%s  %s, %s: %s\n", f.missing_kernel ? "absent" : "FAILED", f.row.c_str(),
                  f.check.c_str(), f.text.c_str());
  }
  std::printf("%zu rows on the %s: %zu passed, %zu failed, %zu without a kernel\n", rows.size(),
              name(device.type), rows.size() - failed - without_kernel, failed, without_kernel);
  return failed == 0 ? 0 : 1;
}

}  // namespace brume::tools
