#pragma once

#include <string>

namespace brume::tools {

/// Prints what a model's file holds: format, class, arguments, tensors, sizes; of a run folder
/// first what was trained, how far and to which loss; of a .npy the type and the shape. As text,
/// every tensor is listed only if `tensors`.
int info(const std::string& path, bool json, bool tensors = false);

}  // namespace brume::tools
