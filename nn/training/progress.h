#pragma once

#include <cstdint>
#include <string>

namespace brume::nn {

/// Where a run stands.
struct Progress {
  int64_t step = 0, steps = 0;
  double loss = 0;
  double images_per_second = 0;
  double seconds_left = 0;
};

/// "step 500/2000  loss 0.1234  1203 images/s  1:23 left"
std::string progress_line(const Progress& progress);

/// "0:07", "12:34", "3:05:09". @units seconds, rounded; negative and not finite give "?"
std::string clock_text(double seconds);

}  // namespace brume::nn
