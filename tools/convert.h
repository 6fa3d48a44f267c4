#pragma once

#include <string>

namespace brume::tools {

/// Writes what a model's file holds into another, in the format that `out` ends in.
int convert_file(const std::string& in, const std::string& out);

}  // namespace brume::tools
