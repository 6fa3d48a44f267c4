#pragma once
// Family index: elements chosen and placed by integer tensors (i64). Indices were checked before.

#include <cstdint>

#include <brume/core/error.h>
#include <brume/core/kernels/kernel.h>

namespace brume {

enum class ScatterReduce { replace, sum, mean, max, min };

/// What check_indices raises.
inline void check_in_range(const char* who, int64_t limit, int64_t at) {
  check(at >= 0 && at < limit, who, ": index ", at, " is outside [0, ", limit, ")");
}

struct IndexKernels {
  // Raises ShapeError unless every index lies in [0, limit): names `who`, the index and the limit.
  // index has a rank of 1 or more, any strides.
  Kernel<"check_indices", void(const char* who, int64_t limit, const View& index)> check_indices{};
  // In a captured step, whose replays the host does not look at: y (row-major, of index's shape) is
  // index, but 0 where that is not in [0, limit), which is raised later (Recording::note): one of
  // the negative ones, else the largest. Rehearsed as check_indices.
  Kernel<"confine_indices", void(const char* who, int64_t limit, const View& index, const View& y)>
      confine_indices{};
  // y[.., j, ..] = x[.., index[j], ..]; all row-major; any dtype.
  Kernel<"index_select", void(int axis, const View& x, const View& index, const View& y)>
      index_select{};
  // y[.., index[j], ..] += source[.., j, ..] in the order of j; all row-major; f32 f64 i64.
  Kernel<"index_add", void(int axis, const View& index, const View& source, const View& y)>
      index_add{};
  // y[i, ..] = sum of x[members[k], ..] for k from offsets[i] to offsets[i + 1] - 1, in that order;
  // all row-major; f32 f64.
  Kernel<"segment_sum",
         void(const View& x, const View& offsets, const View& members, const View& y)>
      segment_sum{};
  // y[.., i, ..] = x[.., index[.., i, ..], ..]; index has y's shape, x is no smaller on the other
  // axes; any strides and dtype.
  Kernel<"gather", void(int axis, const View& x, const View& index, const View& y)> gather{};
  // y holds the values to scatter into. Without include_self a place that something is scattered to
  // forgets its value first. In the order of the axis; any strides; f32 f64 i64.
  Kernel<"scatter", void(ScatterReduce reduce, bool include_self, int axis, const View& index,
                         const View& source, const View& y)>
      scatter{};
  // positions (i64, x's shape): a stable order of each line; NaN counts as largest.
  Kernel<"argsort", void(int axis, bool descending, const View& x, const View& positions)>
      argsort{};
  // Positions where a mask (bool) holds, in logical order; y: i64 [count, rank], count known
  // before.
  Kernel<"nonzero", void(const View& mask, const View& y)> nonzero{};
  // sorted [n] or [.., n], values [.., m] (row-major, one dtype), y: i64, values' shape.
  Kernel<"searchsorted", void(bool right, const View& sorted, const View& values, const View& y)>
      searchsorted{};
};

}  // namespace brume
