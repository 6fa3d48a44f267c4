#pragma once

#include <brume/core/device.h>

namespace brume::tools {

/// Runs the op table on a device; with `coverage` it lists what is proven about each
/// row instead. The exit code is 1 if a row failed.
int selftest(Device device, bool coverage);

}  // namespace brume::tools
