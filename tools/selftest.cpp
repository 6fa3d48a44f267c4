#include "selftest.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include <brume/core/backend.h>

#include "tests/ops/checks.h"

namespace brume::tools {
namespace {

// What the GPU of this build says to a row.
const char* on_cuda(const op_table::OpRow& row) {
  const auto failures = op_table::check_row(row, {DeviceType::cuda, 0});
  if (failures.empty()) return "equal";
  const bool missing = std::all_of(failures.begin(), failures.end(),
                                   [](const op_table::Failure& f) { return f.missing_kernel; });
  return missing ? "no kernel" : "DIFFERS";
}

int list_coverage(const op_table::Rows& rows) {
  std::string reason;
  const bool gpu = cuda_backend(&reason) != nullptr;
  size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.name.size());
  std::printf("%-*s  %-27s  %s\n", static_cast<int>(width), "operation", "CPU", "CUDA");
  int with_gradient = 0, on_gpu = 0;
  for (const auto& row : rows) {
    const bool gradient = std::any_of(row.operands.begin(), row.operands.end(), [](const auto& o) {
      using Kind = op_table::Operand::Kind;
      return o.gradient && o.kind != Kind::integers && o.kind != Kind::booleans;
    });
    with_gradient += gradient ? 1 : 0;
    const std::string cpu = !gradient                ? "value"
                            : row.flags.second_order ? "value, gradient, second"
                                                     : "value, gradient";
    const std::string cuda = gpu ? on_cuda(row) : "-";
    on_gpu += cuda == "equal" ? 1 : 0;
    std::printf("%-*s  %-27s  %s\n", static_cast<int>(width), row.name.c_str(), cpu.c_str(),
                cuda.c_str());
  }
  std::printf("%zu rows, %d with a gradient check", rows.size(), with_gradient);
  if (gpu)
    std::printf(", %d equal on CUDA\n", on_gpu);
  else
    std::printf("; no CUDA: %s\n", reason.c_str());
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
  if (const auto libraries = backend(device.type).libraries)
    std::printf("%s\n", libraries().c_str());
  return failed == 0 ? 0 : 1;
}

}  // namespace brume::tools
