#include "tests/conformance/compare.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>

namespace brume::conformance {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Agreement refuse(std::string text) { return {kInfinity, std::move(text)}; }

Agreement judge(double error, double bound, const std::string& where) {
  Agreement found;
  found.ratio = error <= 0 ? 0 : bound > 0 ? error / bound : kInfinity;
  if (!found) found.text = cat("|difference| ", error, " is more than ", bound, where);
  return found;
}

// Values of one kind at one place: both NaN, or the same infinity, or both finite.
bool same_kind(double a, double b) {
  if (std::isfinite(a) && std::isfinite(b)) return true;
  return a == b || (std::isnan(a) && std::isnan(b));
}

struct Extent {
  double error = 0, size = 0;  // largest |a - b| and |b| over the finite values
  size_t at = 0;               // where the error is
};

Extent extent(std::span<const double> a, std::span<const double> b) {
  Extent out;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(b[i])) continue;
    out.size = std::max(out.size, std::abs(b[i]));
    if (const double error = std::abs(a[i] - b[i]); error > out.error) {
      out.error = error;
      out.at = i;
    }
  }
  return out;
}

Agreement compare_rows(std::span<const double> a, std::span<const double> b, size_t width,
                       const std::function<double(size_t row, double norm)>& bound) {
  Agreement worst;
  for (size_t row = 0; row * width < a.size(); ++row) {
    const Extent e = extent(a.subspan(row * width, width), b.subspan(row * width, width));
    const Agreement found = judge(e.error, bound(row, b[row * width]), cat(", row ", row));
    if (found.ratio > worst.ratio) worst = found;
  }
  return worst;
}

Agreement compare_values(const Tensor& actual, const Tensor& expected, const Value& tolerance,
                         bool is_statistics) {
  if (!actual.defined()) return refuse("there is no such result");
  if (actual.shape() != expected.shape())
    return refuse(cat("shape ", actual.shape(), ", wanted ", expected.shape()));
  if (actual.dtype() != expected.dtype())
    return refuse(cat("dtype ", actual.dtype(), ", wanted ", expected.dtype()));
  if (!is_floating(expected.dtype())) {  // integers do not pass through a double
    const auto a = actual.to_vector<int64_t>(), b = expected.to_vector<int64_t>();
    const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin());
    if (x == a.end()) return {};
    return refuse(cat("element ", x - a.begin(), " is ", *x, ", wanted ", *y));
  }
  const auto a = actual.to_vector<double>(), b = expected.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i)
    if (!same_kind(a[i], b[i])) return refuse(cat("element ", i, " is ", a[i], ", wanted ", b[i]));

  const size_t width = expected.rank() == 2 ? static_cast<size_t>(expected.size(1)) : 1;
  if (const Value* rows = tolerance.find("rows")) {
    const List& r = rows->list("rows");
    check<Error>(width * r.size() == a.size(), "tolerance: ", r.size(), " rows for a tensor ",
                 expected.shape());
    return compare_rows(a, b, width,
                        [&](size_t i, double norm) { return r[i].number("rows") * norm; });
  }
  double r = 0, t = 0;
  if (const List* pair = tolerance.get_if<List>()) {
    check<Error>(pair->size() == 2, "tolerance: wanted [r, t]");
    r = (*pair)[0].number("tolerance");
    t = (*pair)[1].number("tolerance");
  } else {
    check<Error>(tolerance.text("tolerance") == "exact", "tolerance: unknown rule");
  }
  if (is_statistics)
    return compare_rows(a, b, width, [&](size_t, double norm) { return t + r * norm; });
  const Extent e = extent(a, b);
  return judge(e.error, t + r * e.size, cat(", element ", e.at));
}

}  // namespace

Agreement compare(const Tensor& actual, const Tensor& expected, const Value& tolerance) {
  return compare_values(actual, expected, tolerance, false);
}
Agreement compare_statistics(const Tensor& actual, const Tensor& expected, const Value& tolerance) {
  return compare_values(actual, expected, tolerance, true);
}

std::vector<double> statistics(const Tensor& x) {
  double squares = 0, cosines = 0, sines = 0, j = 0;
  for (const double g : x.to_vector<double>()) {
    squares += g * g;
    cosines += g * std::cos(j);
    sines += g * std::sin(j);
    j += 1;
  }
  return {std::sqrt(squares), cosines, sines};
}

}  // namespace brume::conformance
