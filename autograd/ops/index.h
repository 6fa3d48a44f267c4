#pragma once
// Selecting and placing by integer tensors (i64), sorting. Sums into one place are taken in a fixed
// order, so results repeat bit for bit.

#include <utility>

#include <brume/core/kernels/index.h>
#include <brume/core/tensor.h>

namespace brume {

/// y[..., j, ...] = x[..., index[j], ...] along `axis`; index [J].
Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index);
/// x with source[..., j, ...] added at index[j] along `axis`.
Tensor index_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);
/// Rows in groups, sorted once for many sums: row j belongs to segment owner[j], and the rows of
/// segment i are members[offsets[i]] .. members[offsets[i + 1] - 1], in their order.
struct Segments {
  /// @shape owner i64 [J] @throws ShapeError if one is outside [0, count)
  Segments(const Tensor& owner, int64_t count);
  Tensor owner, offsets, members;  // i64 [J], [count + 1], [J]
  int64_t count() const { return offsets.size(0) - 1; }
};
/// The sum of each segment's rows in their order, 0 where it has none.
/// @shape  x [J, ...] -> [segments.count(), ...]
Tensor segment_sum(const Tensor& x, const Segments& segments);
/// For each row that of its segment; the reverse of segment_sum.
/// @shape  x [segments.count(), ...] -> [J, ...]
Tensor segment_rows(const Tensor& x, const Segments& segments);
/// y[..., i, ...] = x[..., index[..., i, ...], ...]; index has y's shape.
Tensor gather(const Tensor& x, int64_t axis, const Tensor& index);
/// The reverse of gather: places source into a copy of x. Without include_self, places that
/// something goes to forget x. Where several elements replace one, the last stays, and indices must
/// not repeat if gradients are wanted; extrema share theirs evenly among equals.
Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source,
               ScatterReduce reduce = ScatterReduce::replace, bool include_self = true);
/// Rows of weight [V, D] at index (any shape) -> [..., D]; the row `padding` gets no gradient.
Tensor embedding(const Tensor& weight, const Tensor& index, int64_t padding = -1);
/// Elements of x where mask (bool, x's shape) holds, in logical order -> rank 1.
Tensor masked_select(const Tensor& x, const Tensor& mask);
/// Positions of the non-zero elements, i64 [count, rank].
Tensor nonzero(const Tensor& x);
/// Values and positions along an axis; stable. NaN counts as largest.
std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis, bool descending = false);
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t axis, bool largest = true);
/// First position in `sorted` that is >= value (or > value if `right`), i64.
/// @shape  sorted [n] with values of any shape, or [..., n] with values [..., m] -> as values
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right = false);
/// How often each of 0, 1, ... occurs in x (i64, not negative), at least `minlength` entries.
Tensor bincount(const Tensor& x, int64_t minlength = 0);

}  // namespace brume
