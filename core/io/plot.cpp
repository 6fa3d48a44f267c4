#include <brume/core/io/plot.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include <brume/core/io/font.h>
#include <brume/core/io/png.h>
#include <brume/core/tensor.h>
#include <brume/core/text.h>

namespace brume::io {
namespace {

using Colour = std::array<uint8_t, 3>;
constexpr Colour kInk{40, 40, 40}, kGrid{225, 225, 225};
// A palette that stays apart for colour-blind readers. Okabe and Ito 2008.
constexpr Colour kColours[] = {{0, 114, 178},   {213, 94, 0},  {0, 158, 115},
                               {204, 121, 167}, {230, 159, 0}, {86, 180, 233}};
constexpr int kLeft = 84, kRight = 20, kTop = 40, kBottom = 52;
constexpr int kAdvance = kGlyphWidth + 1;

class Canvas {
 public:
  Canvas(int width, int height)
      : width_(width), height_(height), pixels_(static_cast<size_t>(width) * height * 3, 255) {}

  void dot(int x, int y, const Colour& colour) {
    if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
    for (size_t c = 0; c < 3; ++c)
      pixels_[(c * static_cast<size_t>(height_) + y) * static_cast<size_t>(width_) + x] = colour[c];
  }

  void line(double x0, double y0, double x1, double y1, const Colour& colour, int thickness = 1) {
    const double length = std::max(std::abs(x1 - x0), std::abs(y1 - y0));
    const int steps = std::max(1, static_cast<int>(std::ceil(length)));
    for (int i = 0; i <= steps; ++i) {
      const double f = static_cast<double>(i) / steps;
      const int x = static_cast<int>(std::lround(x0 + f * (x1 - x0)));
      const int y = static_cast<int>(std::lround(y0 + f * (y1 - y0)));
      for (int dx = 0; dx < thickness; ++dx)
        for (int dy = 0; dy < thickness; ++dy) dot(x + dx, y + dy, colour);
    }
  }

  void text(int x, int y, const std::string& words, const Colour& colour) {
    for (char c : words) {
      const auto columns = glyph(c);
      for (int i = 0; i < kGlyphWidth; ++i)
        for (int j = 0; j < kGlyphHeight; ++j)
          if ((columns[static_cast<size_t>(i)] >> j & 1U) != 0) dot(x + i, y + j, colour);
      x += kAdvance;
    }
  }
  void text_centred(int x, int y, const std::string& words, const Colour& colour) {
    text(x - static_cast<int>(words.size()) * kAdvance / 2, y, words, colour);
  }
  void text_up(int x, int y, const std::string& words, const Colour& colour) {  // read from below
    y += static_cast<int>(words.size()) * kAdvance / 2;
    for (char c : words) {
      const auto columns = glyph(c);
      for (int i = 0; i < kGlyphWidth; ++i)
        for (int j = 0; j < kGlyphHeight; ++j)
          if ((columns[static_cast<size_t>(i)] >> j & 1U) != 0) dot(x + j, y - i, colour);
      y -= kAdvance;
    }
  }

  Tensor image() const {
    return from_span(std::span<const uint8_t>(pixels_), {3, height_, width_});
  }

 private:
  int width_, height_;
  std::vector<uint8_t> pixels_;  // [3, height, width]
};

// Multiples of 1, 2 or 5 times a power of ten, at most eight.
std::vector<double> even_ticks(double low, double high) {
  const double quarter = high / 4 - low / 4;  // the whole may be more than f64 holds
  double step = std::pow(10, std::floor(std::log10(quarter)));
  for (double factor : {2.0, 2.5, 2.0})
    if (quarter / step > 7.0 / 4) step *= factor;
  const double first = std::ceil(low / step - 1e-9);
  std::vector<double> out;
  for (int i = 0; i < 8; ++i) {
    const double tick = (first + i) * step;
    if (tick <= high + step * 1e-9) out.push_back(tick == 0 ? 0 : tick);  // not -0
  }
  return out;
}

// Round numbers between two positive ones: 1, 2 and 5 times the powers of ten; of many powers every
// n-th; where that leaves fewer than three, even steps.
std::vector<double> log_ticks(double low, double high) {
  const double decades = std::log10(high) - std::log10(low);
  const int every = static_cast<int>(std::ceil(decades / 7));
  std::vector<double> out;
  for (int n = static_cast<int>(std::floor(std::log10(low))); n <= std::log10(high) + 1e-9; ++n)
    for (double digit : {1.0, 2.0, 5.0}) {
      if (decades > 3 && (digit != 1 || n % every != 0)) continue;
      const double tick = digit * std::pow(10, n);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) out.push_back(tick);
    }
  return out.size() < 3 ? even_ticks(low, high) : out;
}

// One axis: values to [0, 1], and where the ticks are.
class Axis {
 public:
  Axis(const std::vector<PlotLine>& lines, std::vector<double> PlotLine::*values, bool log)
      : log_(log) {
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (const PlotLine& line : lines)
      for (double value : line.*values)
        if (shows(value)) {
          low = std::min(low, scaled(value));
          high = std::max(high, scaled(value));
        }
    if (low > high) low = 0, high = 1;  // nothing to show
    if (low == high) low -= 0.5, high += 0.5;
    // Ticks must differ from each other in f64.
    const double narrowest = 1e-12 * std::max({std::abs(low), std::abs(high), log ? 1.0 : 1e-288});
    if (high - low < narrowest) low -= narrowest / 2, high += narrowest / 2;
    low_ = low;
    high_ = high;
  }

  bool shows(double value) const { return std::isfinite(value) && (!log_ || value > 0); }
  double place(double value) const {  // by halves: what f64 holds may be twice that far apart
    return (scaled(value) / 2 - low_ / 2) / (high_ / 2 - low_ / 2);
  }

  std::vector<double> ticks() const {
    return log_ ? log_ticks(power(low_), power(high_)) : even_ticks(low_, high_);
  }

 private:
  static double power(double exponent) {  // a margin may lie beyond what f64 holds
    return std::clamp(std::pow(10, exponent), std::numeric_limits<double>::denorm_min(),
                      std::numeric_limits<double>::max());
  }
  double scaled(double value) const { return log_ ? std::log10(value) : value; }
  bool log_;
  double low_ = 0, high_ = 1;
};

}  // namespace

void write_plot(const std::string& path, const std::vector<PlotLine>& lines, const PlotOptions& o) {
  check(o.width >= 200 && o.height >= 150 && o.width <= 8192 && o.height <= 8192,
        "write_plot: wants 200 x 150 to 8192 x 8192 pixels, got ", o.width, " x ", o.height);
  for (const PlotLine& line : lines)
    check(line.x.size() == line.y.size(), "write_plot: '", line.name, "' has ", line.x.size(),
          " x and ", line.y.size(), " y");
  const Axis x_axis(lines, &PlotLine::x, o.log_x), y_axis(lines, &PlotLine::y, o.log_y);
  const int right = o.width - kRight, bottom = o.height - kBottom;
  const auto to_x = [&](double x) { return kLeft + x_axis.place(x) * (right - kLeft); };
  const auto to_y = [&](double y) { return bottom - y_axis.place(y) * (bottom - kTop); };

  Canvas canvas(o.width, o.height);
  for (double tick : x_axis.ticks()) {
    const int x = static_cast<int>(std::lround(to_x(tick)));
    canvas.line(x, kTop, x, bottom, kGrid);
    canvas.text_centred(x, bottom + 8, short_number(tick), kInk);
  }
  for (double tick : y_axis.ticks()) {
    const int y = static_cast<int>(std::lround(to_y(tick)));
    canvas.line(kLeft, y, right, y, kGrid);
    const std::string words = short_number(tick);
    canvas.text(kLeft - 8 - static_cast<int>(words.size()) * kAdvance, y - kGlyphHeight / 2, words,
                kInk);
  }
  canvas.line(kLeft, kTop, kLeft, bottom, kInk);
  canvas.line(kLeft, bottom, right, bottom, kInk);
  canvas.text_centred((kLeft + right) / 2, 14, o.title, kInk);
  canvas.text_centred((kLeft + right) / 2, o.height - 18, o.x_label, kInk);
  canvas.text_up(10, (kTop + bottom) / 2, o.y_label, kInk);

  for (size_t i = 0; i < lines.size(); ++i) {
    const Colour& colour = kColours[i % std::size(kColours)];
    const PlotLine& line = lines[i];
    bool joined = false;
    double x0 = 0, y0 = 0;
    for (size_t k = 0; k < line.x.size(); ++k) {
      const bool shown = x_axis.shows(line.x[k]) && y_axis.shows(line.y[k]);
      if (shown) {
        const double x1 = to_x(line.x[k]), y1 = to_y(line.y[k]);
        canvas.line(joined ? x0 : x1, joined ? y0 : y1, x1, y1, colour, 2);
        x0 = x1;
        y0 = y1;
      }
      joined = shown && !line.dots;
    }
    const int y = kTop + 6 + static_cast<int>(i) * 14;
    const int x = right - 12 - static_cast<int>(line.name.size()) * kAdvance;
    canvas.line(x - 24, y + 3, x - 6, y + 3, colour, 2);
    canvas.text(x, y, line.name, kInk);
  }
  write_png(path, canvas.image());
}

}  // namespace brume::io
