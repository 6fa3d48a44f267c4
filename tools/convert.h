#pragma once

#include <string>

namespace brume::tools {

struct ConvertArguments {
  std::string in, out;
  std::string like{};  // a model whose class, arguments and notes `in` lacks, or empty
};

/// Writes a model of any format as `out` ends: .safetensors, .mdlus, or .pt, which holds the state
/// alone. A run folder is its model; of a checkpoint the averaged weights are written.
/// @throws IoError, FormatError; Error if `like` is given to what has a class, or has none
int convert_file(const ConvertArguments& arguments);

}  // namespace brume::tools
