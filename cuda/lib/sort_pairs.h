#pragma once
// CUB's stable radix sort; in the emulator a twin of it (emu/sort_pairs.cpp).

#include <cstdint>

#include <brume/cuda/runtime.h>

namespace brume::cuda {

struct Pairs {
  uint64_t* keys;
  uint32_t* values;
};

/// Sorts `count` pairs in ascending order of the lower `bits` bits of their keys; equal ones stay
/// in order. Uses both buffers.
/// @returns the one of them that holds the result
Pairs sort_pairs(Stream stream, Pairs pairs, Pairs spare, uint32_t count, int bits);

}  // namespace brume::cuda
