#include <brume/nn/training/progress.h>

#include <cmath>

#include <brume/core/error.h>
#include <brume/core/text.h>

namespace brume::nn {

std::string clock_text(double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) return "?";
  const auto total = static_cast<int64_t>(std::llround(seconds));
  const int64_t hours = total / 3600, minutes = total / 60 % 60;
  const std::string tail = ":" + zero_padded(total % 60, 2);
  return hours > 0 ? std::to_string(hours) + ":" + zero_padded(minutes, 2) + tail
                   : std::to_string(minutes) + tail;
}

std::string progress_line(const Progress& p) {
  return cat("step ", p.step, "/", p.steps, "  loss ", short_number(p.loss), "  ",
             std::llround(p.images_per_second), " images/s  ", clock_text(p.seconds_left), " left");
}

}  // namespace brume::nn
