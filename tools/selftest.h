#pragma once

namespace brume::tools {

/// Runs the op table on the CPU, or on a GPU; with `coverage` it lists what is proven about each
/// row instead. The exit code is 1 if a row failed.
int selftest(bool cuda, bool coverage);

}  // namespace brume::tools
