#pragma once

#include <string>

#include <brume/core/tensor.h>

namespace brume::nn {

/// @shape x [N, C, H, W] u8, labels [N] i64 or undefined
struct LabelledImages {
  Tensor x, labels;
};

/// The pictures *.png of a folder in the order of their names; or, if it has sub-folders, those of
/// each, which are classes 0, 1, ... in the order of their names.
/// @throws IoError; FormatError if there are none, or both; ShapeError naming the first that has
///         another size than those before
LabelledImages read_png_folder(const std::string& path);

}  // namespace brume::nn
