#pragma once
// Walking several tensors of one shape together, whatever their strides and dtypes: in blocks that
// lie contiguous, in one element type, in L1.

#include <cstdint>
#include <span>

#include <brume/core/walk.h>

namespace brume::cpu {

/// A place in a walk.
struct Position {
  Position(const Walk& walk, int64_t element);
  void advance(const Walk& walk, int64_t elements);
  int64_t offset(const Walk& walk, int view) const;  // in elements
  int64_t left_in_row(const Walk& walk) const;

  int64_t at[kMaxRank] = {};
};

/// Elements per block, and per piece of work that a thread claims (part of the split that results
/// must not depend on, though here they do not).
inline constexpr int64_t kBlock = 1024;
inline constexpr int64_t kWalkGrain = 16 * kBlock;

/// Calls body(context, n, p) for all blocks of the walk, in parallel: p[k] holds n elements of view
/// k as T. n is a multiple of kBlockStep: at an end the rest is padded with copies of an element.
/// The last `outputs` views are written back afterwards. An absent view (null, or without data)
/// reads as zeros; if it is an output, it is thrown away.
template <class T>
void walk_blocks(std::span<const View* const> views, int outputs, const View& order,
                 void (*body)(const void* context, int64_t n, T* const* p), const void* context);

extern template void walk_blocks(std::span<const View* const>, int, const View&,
                                 void (*)(const void*, int64_t, float* const*), const void*);
extern template void walk_blocks(std::span<const View* const>, int, const View&,
                                 void (*)(const void*, int64_t, double* const*), const void*);

}  // namespace brume::cpu
