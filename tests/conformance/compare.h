#pragma once
// How close is close enough: section 1.6 of the format.

#include <string>

#include "tests/conformance/value.h"

namespace brume::conformance {

/// What a comparison found. It passes while `ratio` (error / tolerance) is at most 1.
struct Agreement {
  double ratio = 0;  // infinite where no tolerance applies: shapes, dtypes, NaN against a number
  std::string text;  // what differs, when it does not pass
  explicit operator bool() const { return ratio <= 1; }
};

/// `tolerance` is [r, t], "exact" or {"rows": [r...]}.
Agreement compare(const Tensor& actual, const Tensor& expected, const Value& tolerance);

/// For statistics of gradients or parameters [P, 3]: a tolerance [r, t] holds per row, relative to
/// the row's norm in column 0.
Agreement compare_statistics(const Tensor& actual, const Tensor& expected, const Value& tolerance);

/// One row of statistics: the 2-norm of x, sum x[j] cos(j) and sum x[j] sin(j), in f64.
std::vector<double> statistics(const Tensor& x);

}  // namespace brume::conformance
