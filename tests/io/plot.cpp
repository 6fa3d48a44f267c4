#include <brume/core/io/plot.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/io/png.h>

#include "files.h"

namespace brume::test {
namespace {

// Rows of the horizontal grid lines of a plot of these heights, from below.
std::vector<int64_t> grid_rows(std::vector<double> y, bool log) {
  const TemporaryFolder folder;
  std::vector<double> x;
  for (size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i));
  io::write_plot(folder / "x.png", {{.name = "line", .x = std::move(x), .y = std::move(y)}},
                 {.log_y = log});
  const Tensor picture = io::read_png(folder / "x.png");
  const auto pixels = picture.host<const uint8_t>();
  const int64_t width = picture.size(2), column = width * 3 / 4 + 7;  // between vertical lines
  std::vector<int64_t> rows;
  for (int64_t row = picture.size(1) - 1; row >= 0; --row)
    if (pixels[static_cast<size_t>(row * width + column)] == 225) rows.push_back(row);
  return rows;
}

// Whether the lines lie where these values do on a log axis.
void check_log_rows(const std::vector<int64_t>& rows, const std::vector<double>& values) {
  REQUIRE(rows.size() == values.size());
  const auto length = static_cast<double>(rows.front() - rows.back());
  for (size_t i = 0; i < rows.size(); ++i)
    CHECK(std::abs(static_cast<double>(rows.front() - rows[i]) / length -
                   std::log(values[i] / values.front()) /
                       std::log(values.back() / values.front())) < 0.01);
}

}  // namespace

TEST_SUITE_BEGIN("plot" * doctest::skip(!io::has_png()));

TEST_CASE("a plot's log axis has its ticks at round numbers, whatever its range") {
  check_log_rows(grid_rows({0.78, 0.31, 0.36}, true), {0.4, 0.5, 0.6, 0.7});
  check_log_rows(grid_rows({0.7, 30, 9}, true), {1, 2, 5, 10, 20});
  check_log_rows(grid_rows({0.018, 5.3, 1}, true), {0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5});
  check_log_rows(grid_rows({2e-5, 0.3, 0.1}, true), {1e-4, 1e-3, 1e-2, 1e-1});
  check_log_rows(grid_rows({5e-13, 2e6, 1}, true), {1e-12, 1e-9, 1e-6, 1e-3, 1, 1e3, 1e6});
}

TEST_CASE("a plot's ordinary axis has even ticks") {
  const auto rows = grid_rows({-2.1, 6.3, 0}, false);
  REQUIRE(rows.size() == 5);  // -2, 0, 2, 4, 6
  for (size_t i = 1; i < rows.size(); ++i)
    CHECK(std::abs((rows[i - 1] - rows[i]) - (rows[0] - rows[1])) <= 1);
}

TEST_CASE("dots are not joined") {
  const TemporaryFolder folder;
  const auto coloured = [&](bool dots) {
    io::write_plot(folder / "x.png", {{.name = "", .x = {0, 1, 2}, .y = {0, 1, 0}, .dots = dots}});
    const Tensor picture = io::read_png(folder / "x.png");
    const auto pixels = picture.host<const uint8_t>();  // red first: 0 in the first line's colour
    return std::count(pixels.begin(), pixels.begin() + pixels.size() / 3, 0);
  };
  CHECK(coloured(true) == 3 * 4 + 20 * 2);  // 2 x 2 pixels each, and the sample beside the name
  CHECK(coloured(false) > 1000);
}

TEST_CASE("a plot of nothing, of one value and of values that no axis shows is a plot") {
  CHECK(grid_rows({}, true).size() >= 3);
  CHECK(grid_rows({5, 5, 5}, false).size() >= 3);
  CHECK(grid_rows({-1, std::nan(""), 0}, true).size() >= 3);
}

TEST_CASE("values as close or as far apart as f64 holds are a plot") {
  constexpr double largest = std::numeric_limits<double>::max();
  constexpr double least = std::numeric_limits<double>::denorm_min();
  const std::vector<std::vector<double>> ends = {
      {1e16, 1e16 + 2, 1e16}, {1, std::nextafter(1, 2), 1}, {-largest, largest, 0},
      {0, least, 0},          {largest, largest, largest},  {least, least, least},
      {least, largest, 1}};
  for (const std::vector<double>& y : ends)
    for (const bool log : {false, true}) {
      CAPTURE(y[1]);
      CAPTURE(log);
      const size_t rows = grid_rows(y, log).size();
      CHECK(rows <= 8);
      if (y[1] >= 1 && y[1] < 1e17) CHECK(rows >= 2);
    }
}

TEST_SUITE_END();

}  // namespace brume::test
