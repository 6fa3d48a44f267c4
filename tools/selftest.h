#pragma once

#include <brume/core/device.h>

namespace brume::tools {

/// Runs the op table on a device; with `coverage` it lists what the CPU is proven to do for
/// each row, and whether the GPU of this build does the same. The exit code is 1 if a row failed.
int selftest(Device device, bool coverage);

}  // namespace brume::tools
