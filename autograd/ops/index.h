#pragma once
// Selecting and placing by integer tensors (i64), sorting. Sums into one place are taken in a fixed
// order, so results repeat bit for bit.

#include <utility>

#include <brume/core/tensor.h>

namespace brume {

/// y[..., j, ...] = x[..., index[j], ...] along `axis`; index [J].
Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index);
/// x with source[..., j, ...] added at index[j] along `axis`.
Tensor index_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);
/// y[..., i, ...] = x[..., index[..., i, ...], ...]; index has y's shape.
Tensor gather(const Tensor& x, int64_t axis, const Tensor& index);
enum class ScatterReduce { replace, sum, mean, max, min };
/// The reverse of gather: places source into a copy of x.
Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source,
               ScatterReduce reduce = ScatterReduce::replace, bool include_self = true);
/// Rows of weight [V, D] at index (any shape) -> [..., D]; the row `padding` gets no gradient.
Tensor embedding(const Tensor& weight, const Tensor& index, int64_t padding = -1);
/// Elements of x where mask (bool, x's shape) holds, in logical order -> rank 1.
Tensor masked_select(const Tensor& x, const Tensor& mask);
/// Positions of the non-zero elements, i64 [count, rank].
Tensor nonzero(const Tensor& x);
/// Values and positions along an axis; stable.
std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis, bool descending = false);
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int64_t axis, bool largest = true);
/// First position in `sorted` [..., n] that is >= value (or > value if `right`), i64.
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right = false);
Tensor bincount(const Tensor& x, int64_t minlength = 0);

}  // namespace brume
