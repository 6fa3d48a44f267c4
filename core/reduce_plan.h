#pragma once
// How a reduction walks: axes sorted by stride, neighbours merged.

#include <brume/core/view.h>

namespace brume {

/// An axis of the iteration: its size, x's stride and y's stride (elements).
struct ReduceAxis {
  int64_t size = 1, x = 0, y = 0;
};

/// Axes, outermost first.
class ReduceAxes {
 public:
  int count() const { return count_; }
  const ReduceAxis& operator[](int i) const { return axes_[i]; }
  void push_back(ReduceAxis axis) { axes_[count_++] = axis; }
  /// Lengthens the last axis if `axis` continues it in both tensors.
  void push_merged(ReduceAxis axis);
  /// Size 1 if there is none.
  ReduceAxis take_last() { return count_ == 0 ? ReduceAxis{} : axes_[--count_]; }
  /// Product of the sizes.
  int64_t numel() const;

 private:
  ReduceAxis axes_[kMaxRank];
  int count_ = 0;
};

/// The axes that stay and those that are summed.
struct ReducePlan {
  ReduceAxes kept, reduced;
  ReduceAxis columns;  // innermost, if that axis stays
  ReduceAxis run;      // innermost, if that axis is summed; then columns.size is 1
  bool innermost_stays = false;
  int64_t kept_count = 1, reduced_count = 1;  // products of kept and of reduced
};

/// y has x's rank, and size 1 on the reduced axes.
ReducePlan reduce_plan(const View& x, const View& y);

/// Walks over axes in order and knows where it stands in x and in y.
class ReduceWalk {
 public:
  ReduceWalk(const ReduceAxes& axes, int64_t start);
  void next() {
    for (int k = axes_.count(); k-- > 0;) {
      x += axes_[k].x;
      y += axes_[k].y;
      if (++index_[k] < axes_[k].size) return;
      x -= index_[k] * axes_[k].x;
      y -= index_[k] * axes_[k].y;
      index_[k] = 0;
    }
  }
  int64_t x = 0, y = 0;

 private:
  const ReduceAxes& axes_;
  int64_t index_[kMaxRank] = {};
};

}  // namespace brume
