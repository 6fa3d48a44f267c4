#pragma once
// The axes along which several tensors of one shape are walked together.

#include <cstdint>
#include <span>

#include <brume/core/view.h>

namespace brume {

/// An operand that is there: some are optional.
inline bool present(const View* view) { return view && *view; }

/// Axes of size 1 are dropped, the others ordered by the strides of one of the tensors (outermost
/// first), neighbours merged wherever they merge in all of them.
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

}  // namespace brume
