#include <brume/nn/training/progress.h>

#include <array>
#include <charconv>
#include <cmath>

#include <brume/core/error.h>

namespace brume::nn {
namespace {

// Four significant digits, independent of the locale.
std::string short_number(double x) {
  std::array<char, 64> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), x, std::chars_format::general, 4).ptr;
  return {text.data(), end};
}

std::string two_digits(int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); }

}  // namespace

std::string clock_text(double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) return "?";
  const auto total = static_cast<int64_t>(std::llround(seconds));
  const int64_t hours = total / 3600, minutes = total / 60 % 60;
  const std::string tail = ":" + two_digits(total % 60);
  return hours > 0 ? std::to_string(hours) + ":" + two_digits(minutes) + tail
                   : std::to_string(minutes) + tail;
}

std::string progress_line(const Progress& p) {
  return cat("step ", p.step, "/", p.steps, "  loss ", short_number(p.loss), "  ",
             std::llround(p.images_per_second), " images/s  ", clock_text(p.seconds_left), " left");
}

}  // namespace brume::nn
