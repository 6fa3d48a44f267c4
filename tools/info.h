#pragma once

#include <string>

namespace brume::tools {

/// Prints what a safetensors file holds: class, arguments, tensors, sizes.
int info(const std::string& path, bool json);

}  // namespace brume::tools
