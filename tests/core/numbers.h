#pragma once

#include <cstdint>
#include <vector>

namespace brume {

/// Numbers in [-1, 1] that depend on position and seed alone.
template <class T>
std::vector<T> numbers(int64_t n, uint32_t seed) {
  std::vector<T> out(static_cast<size_t>(n));
  uint32_t state = seed * 2654435761U + 12345U;
  for (T& x : out) {
    state = state * 1664525U + 1013904223U;
    x = static_cast<T>(static_cast<double>(state >> 8) / (1 << 23) - 1);
  }
  return out;
}

}  // namespace brume
