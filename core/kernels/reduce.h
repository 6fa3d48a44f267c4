#pragma once
// Family reduce: sums, products, extrema over axes; recurrences along one axis.

#include <brume/core/kernels/kernel.h>

namespace brume {

enum class ReduceOp { sum, product, max, min, any, all };

struct ReduceKernels {
  // y has x's rank, and size 1 on the reduced axes. sum: y = total / divisor (the others ignore
  // it). f32 is summed with an error below 20 units of the last place of sum |x|; bf16 and f16 as
  // f32; integers and bool give i64. any and all give bool. NaN wins an extremum. The order of
  // summation depends on the sizes and on the memory order of the axes alone.
  Kernel<"reduce", void(ReduceOp op, double divisor, const View& x, const View& y)> reduce{};
  // y (i64, size 1 on `axis`): position of the first extremum; the first NaN wins.
  Kernel<"arg_extremum", void(bool largest, int axis, const View& x, const View& y)> arg_extremum{};
  // Along `axis`, from the front or from the back: y[i] = a[i] * y[i - 1] + b[i]. Absent a: ones;
  // absent b: zeros, and then the product starts from 1 instead of 0. All of one shape, any
  // strides. State in f64 (integers: i64).
  Kernel<"scan", void(const View& a, const View& b, int axis, bool backward, const View& y)> scan{};
};

}  // namespace brume
