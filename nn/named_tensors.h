#pragma once

#include <string>
#include <utility>
#include <vector>

#include <brume/core/tensor.h>

namespace brume::nn {

/// Tensors with their state keys, in order: parameters, buffers, optimizer state.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

}  // namespace brume::nn
