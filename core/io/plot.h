#pragma once
// Line plots as PNG: enough to see a loss fall, two spectra agree, a cloud take shape.

#include <string>
#include <vector>

namespace brume::io {

struct PlotLine {
  std::string name;
  std::vector<double> x,
      y;              // points that are not finite, or not positive on a log axis, are left out
  bool dots = false;  // the points alone, nothing between them
};

struct PlotOptions {
  std::string title{}, x_label{}, y_label{};
  bool log_x = false, log_y = false;
  int width = 800, height = 500;  // pixels
};

/// Draws the lines over common axes, each in its own colour with its name; later ones lie on top.
/// @throws ShapeError if a line's x and y differ in length; IoError
void write_plot(const std::string& path, const std::vector<PlotLine>& lines,
                const PlotOptions& options = {});

}  // namespace brume::io
