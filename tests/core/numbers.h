#pragma once

#include <cstdint>
#include <vector>

namespace brume {

/// Numbers in [-1, 1) that depend on position and seed alone, those of two seeds unrelated.
/// @source Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014), SplitMix64
template <class T>
std::vector<T> numbers(int64_t n, uint64_t seed) {
  std::vector<T> out(static_cast<size_t>(n));
  uint64_t state = seed;
  for (T& x : out) {
    state += 0x9E3779B97F4A7C15U;
    uint64_t z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    x = static_cast<T>(static_cast<double>((z ^ (z >> 31)) >> 40) / (1 << 23) - 1);
  }
  return out;
}

}  // namespace brume
