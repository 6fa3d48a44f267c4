#pragma once

#include <brume/core/backend.h>

namespace brume::cuda {

/// Device memory: the caching pool over the runtime's stream-ordered allocation. All work runs in
/// one stream, so a block may be given out again while a kernel that used it still runs.
extern const Memory memory;

}  // namespace brume::cuda
