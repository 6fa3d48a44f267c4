#pragma once

#include <string>

namespace brume::tools {

/// Prints what a model's file, or that of a run folder, holds: format, class, arguments, tensors,
/// sizes.
int info(const std::string& path, bool json);

}  // namespace brume::tools
