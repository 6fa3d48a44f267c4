#pragma once

#include <brume/core/tensor.h>

namespace brume {

/// transfer() of numbers that follow from shapes and options alone, which a captured step may make
/// too: its first runs bring them to the device and keep them, so that replays only copy them.
Tensor constant(const Tensor& host, Device device);

}  // namespace brume
