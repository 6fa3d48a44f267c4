#pragma once
// Sums, extrema and scans. Sums are taken in a fixed order that depends on shape and strides alone.

#include <utility>
#include <vector>

#include <brume/core/tensor.h>

namespace brume {

/// Which axes a reduction removes; empty means all. `keep` leaves them with size 1.
struct Axes {
  Axes() = default;
  Axes(int64_t axis) : axes{axis} {}
  Axes(std::initializer_list<int64_t> list) : axes(list) {}
  Axes(std::vector<int64_t> list) : axes(std::move(list)) {}
  std::vector<int64_t> axes;
};
enum KeepAxis : bool { drop_axis = false, keep_axis = true };

Tensor sum(const Tensor& x, const Axes& axes = {}, KeepAxis keep = drop_axis);
Tensor mean(const Tensor& x, const Axes& axes = {}, KeepAxis keep = drop_axis);
/// Sum of squared deviations / (n - correction). @source two passes, so no cancellation
Tensor var(const Tensor& x, const Axes& axes = {}, double correction = 1,
           KeepAxis keep = drop_axis);
Tensor prod(const Tensor& x, const Axes& axes = {}, KeepAxis keep = drop_axis);
/// Extrema; ties share the gradient evenly. NaN wins.
Tensor max(const Tensor& x, const Axes& axes = {}, KeepAxis keep = drop_axis);
Tensor min(const Tensor& x, const Axes& axes = {}, KeepAxis keep = drop_axis);
/// First position of the extremum along one axis, i64.
Tensor argmax(const Tensor& x, int64_t axis, KeepAxis keep = drop_axis);
Tensor argmin(const Tensor& x, int64_t axis, KeepAxis keep = drop_axis);
Tensor logsumexp(const Tensor& x, const Axes& axes, KeepAxis keep = drop_axis);
/// (sum |x|^p)^(1/p); p = 0 counts non-zeros, infinities give extrema of |x|.
Tensor vector_norm(const Tensor& x, double p = 2, const Axes& axes = {}, KeepAxis keep = drop_axis);
Tensor any(const Tensor& x, const Axes& axes = {}, KeepAxis keep = drop_axis);  // bool
Tensor all(const Tensor& x, const Axes& axes = {}, KeepAxis keep = drop_axis);
Tensor cumsum(const Tensor& x, int64_t axis);
Tensor cumprod(const Tensor& x, int64_t axis);

}  // namespace brume
