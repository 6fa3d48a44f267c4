#pragma once
// Lines of a tensor along one axis: what sorting, scanning and indexing walk over.

#include <algorithm>

#include <brume/core/cpu/parallel.h>
#include <brume/core/view.h>

namespace brume::cpu {

/// Where a line starts: an index on every axis but one, which holds 0.
struct Line {
  Dims index;
  int64_t number;  // in logical order

  /// Of the line's first element in v, which has the same rank (and size 1 or more on each axis).
  int64_t offset(const View& v) const {
    int64_t at = 0;
    for (int i = 0; i < index.rank(); ++i) at += index[i] * v.strides[i];
    return at;
  }
};

/// f(line) for every line of `shape_of` along `axis`, in pieces of about `grain` elements.
template <class F>
void for_each_line(const View& shape_of, int axis, int64_t grain, F&& f) {
  int64_t lines = 1;
  for (int i = 0; i < shape_of.rank(); ++i)
    if (i != axis) lines *= shape_of.size(i);
  const int64_t length = std::max<int64_t>(shape_of.size(axis), 1);
  parallel_for(lines, std::max<int64_t>(grain / length, 1), [&](int64_t begin, int64_t end) {
    Line line{Dims::filled(shape_of.rank(), 0), begin};
    for (int64_t rest = begin, i = shape_of.rank() - 1; i >= 0; --i) {
      const int at = static_cast<int>(i);
      if (at == axis) continue;
      line.index[at] = rest % shape_of.size(at);
      rest /= shape_of.size(at);
    }
    for (; line.number < end; ++line.number) {
      f(line);
      for (int i = shape_of.rank() - 1; i >= 0; --i) {
        if (i == axis) continue;
        if (++line.index[i] < shape_of.size(i)) break;
        line.index[i] = 0;
      }
    }
  });
}

}  // namespace brume::cpu
