#pragma once
// Views and rearrangements. Views share storage; the others copy.

#include <vector>

#include <brume/core/tensor.h>

namespace brume {

/// The same elements in logical order under another shape; one size may be -1. A view where the
/// strides allow it, else a copy.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor permute(const Tensor& x, const Dims& axes);
Tensor transpose(const Tensor& x, int64_t a, int64_t b);
/// Repeats axes of size 1 (stride 0); -1 keeps a size.
Tensor expand(const Tensor& x, const Shape& shape);
Tensor squeeze(const Tensor& x, int64_t axis);
Tensor unsqueeze(const Tensor& x, int64_t axis);
/// Elements start, start + step, ... below end along an axis; negative positions count from the
/// end.
Tensor slice(const Tensor& x, int64_t axis, int64_t start, int64_t end, int64_t step = 1);
/// Position `index` along an axis, which disappears.
Tensor select(const Tensor& x, int64_t axis, int64_t index);
/// `sizes` must add up to the axis.
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int64_t axis);
std::vector<Tensor> chunk(const Tensor& x, int64_t pieces, int64_t axis);
Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t axis1 = 0, int64_t axis2 = 1);
/// Sliding windows of `size` every `step` along an axis, as a new last axis (view).
Tensor windows(const Tensor& x, int64_t axis, int64_t size, int64_t step);

Tensor cat(const std::vector<Tensor>& xs, int64_t axis);
Tensor stack(const std::vector<Tensor>& xs, int64_t axis);
Tensor flip(const Tensor& x, const std::vector<int64_t>& axes);
Tensor roll(const Tensor& x, int64_t shift, int64_t axis);
/// Zeros (or `value`) around the last axes: {before_last, after_last, before_second_last, ...}.
/// Negative amounts cut.
Tensor pad(const Tensor& x, const std::vector<int64_t>& amounts, double value = 0);

/// Row-major (or channels-last) memory, same values; differentiable.
Tensor contiguous(const Tensor& x, Layout layout = Layout::row_major);
/// Converted to another floating dtype, or to another device; differentiable.
Tensor to(const Tensor& x, DType dtype);
Tensor to(const Tensor& x, Device device);

}  // namespace brume
