#pragma once

#include <brume/core/device.h>

namespace brume::tools {

/// Runs the op table on a device; with `coverage` it also lists each row, what was checked of it,
/// and whether it holds there. The exit code is 1 if a row failed.
int selftest(Device device, bool coverage);

}  // namespace brume::tools
