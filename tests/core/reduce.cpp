// Sums against a plain loop in f64: every choice of axes, layouts, dtypes, thread counts.

#include <algorithm>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/backend.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/tensor.h>

using namespace brume;

namespace {

Tensor numbers(const Shape& shape, DType dtype) {
  std::vector<double> values(static_cast<size_t>(numel(shape)));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::floor(40 * std::sin(static_cast<double>(i) * 1.7)) / 8;
  return convert(from_vector(values, shape), dtype);
}

Tensor reversed_axes(const Tensor& x) {
  Shape back = x.shape();
  std::reverse(back.begin(), back.end());
  const Tensor memory = empty(back, {.dtype = x.dtype()});
  Strides strides = memory.strides();
  std::reverse(strides.begin(), strides.end());
  const Tensor y = alias(memory, x.shape(), strides);
  copy_(y, x);
  return y;
}

// Sums, and sums of magnitudes, of the elements that fall on each place of `to`.
struct Reference {
  std::vector<double> sums, magnitudes;
  Reference(const Tensor& x, const Shape& to)
      : sums(static_cast<size_t>(numel(to))), magnitudes(sums.size()) {
    const auto values = x.to_vector<double>();
    for (size_t i = 0; i < values.size(); ++i) {
      auto rest = static_cast<int64_t>(i);
      int64_t place = 0, step = 1;
      for (int axis = x.rank() - 1; axis >= 0; --axis) {
        if (to[axis] != 1) place += rest % x.shape()[axis] * step;
        rest /= x.shape()[axis];
        step *= to[axis];
      }
      sums[static_cast<size_t>(place)] += values[i];
      magnitudes[static_cast<size_t>(place)] += std::abs(values[i]);
    }
  }
};

std::vector<double> summed(const Tensor& x, const Shape& to) {
  const Tensor y = empty(to, {.dtype = is_floating(x.dtype()) ? x.dtype() : DType::i64});
  kernels(x).reduce.reduce(ReduceOp::sum, 1, x.view(), y.view());
  return y.to_vector<double>();
}

// The unit of the last place that a sum of this dtype may err by, as kernels/reduce.h states it.
double allowed(DType dtype, double magnitude) {
  switch (dtype) {
    case DType::f32:
      return 20 * 0x1p-24 * magnitude;
    case DType::bf16:
      return 0x1p-8 * magnitude;
    case DType::f64:
      return 1e-14 * magnitude;
    default:
      return 0;
  }
}

void check_sums(const Tensor& x, const Shape& to) {
  const Reference want(x, to);
  set_num_threads(1);
  const auto got = summed(x, to);
  set_num_threads(3);
  CHECK(summed(x, to) == got);
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i)
    worst =
        std::max(worst, std::abs(got[i] - want.sums[i]) - allowed(x.dtype(), want.magnitudes[i]));
  INFO("shape ", to_string(x.shape()), " strides ", to_string(x.strides()), " to ", to_string(to),
       " ", name(x.dtype()));
  CHECK(worst <= 0);
}

}  // namespace

TEST_CASE("sums over any axes of any layout keep the stated bound, on any number of threads") {
  const int before = num_threads();
  const Shape shapes[] = {{},      {1, 1},      {5, 7, 3, 2}, {2, 64, 8, 8}, {2, 3, 4, 5, 6},
                          {0, 3},  {3, 0},      {4, 1025},    {700, 110},    {3, 2000, 5},
                          {70003}, {2, 140000}, {140000, 2},  {2000, 65},    {2, 5, 100, 90}};
  for (const Shape& shape : shapes)
    for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32})
      for (int axes = 0; axes < 1 << shape.rank(); ++axes) {
        Shape to = shape;
        for (int i = 0; i < shape.rank(); ++i)
          if ((axes >> i & 1) != 0) to[i] = 1;
        const Tensor x = numbers(shape, dtype);
        check_sums(x, to);
        if (x.numel() > 10000 && dtype != DType::f32) continue;
        check_sums(reversed_axes(x), to);
        if (shape.rank() == 4) check_sums(relayout(x, Layout::channels_last), to);
      }
  set_num_threads(before);
}
