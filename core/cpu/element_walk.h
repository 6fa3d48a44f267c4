#pragma once
// Walking several tensors of one shape together, whatever their strides and dtypes: in blocks that
// lie contiguous, in one element type, in L1.

#include <cstdint>
#include <span>

#include <brume/core/view.h>

namespace brume::cpu {

/// The axes of a walk: those of size 1 dropped, ordered by the strides of one of the tensors
/// (outermost first), neighbours merged wherever they merge in all of them.
struct Walk {
  static constexpr int kMaxViews = 14;

  /// All views have the shape of `order`, whose memory order the walk follows. A null one, or one
  /// without data, does not count.
  Walk(std::span<const View* const> views, const View& order);

  int64_t count = 1;  // elements
  int rank = 0;
  int64_t sizes[kMaxRank] = {};
  int64_t strides[kMaxViews][kMaxRank];  // in elements
  bool linear[kMaxViews];                // element i of the walk is element i of memory

  int64_t inner_size() const { return rank == 0 ? 1 : sizes[rank - 1]; }
  int64_t inner_stride(int view) const { return rank == 0 ? 1 : strides[view][rank - 1]; }
};

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
