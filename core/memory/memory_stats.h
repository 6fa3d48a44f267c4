#pragma once

#include <cstdint>

namespace brume {

/// Bytes of one device: in use, kept for reuse, and the largest `live` since the last reset.
struct MemoryStats {
  int64_t live = 0, cached = 0, peak = 0;
  int64_t hits = 0, misses = 0;  // allocations answered from the cache, and by the system
};

}  // namespace brume
