#pragma once

#include <brume/core/backend.h>

namespace brume::cpu {

extern const Memory memory;

inline constexpr size_t kHugePage = size_t{1} << 21;

/// Of a block that starts on a huge page: up to a tenth of a training step went into looking up
/// small ones. Does nothing where the system has none.
void ask_for_huge_pages(void* data, size_t bytes);

}  // namespace brume::cpu
