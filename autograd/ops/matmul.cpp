#include <brume/autograd/ops/matmul.h>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/operands.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

void check_pair(const char* op, const Tensor& x, const char* other, const Tensor& y) {
  check_same_dtype(op, x, other, y);
  check<DTypeError>(is_floating(x.dtype()), op, ": takes f32 f64 bf16 f16, got ", x.dtype());
  check_same_device(op, x, other, y);
}

Shape with_tail(const Shape& shape, std::initializer_list<int64_t> tail) {
  Shape out(std::span(shape.begin(), static_cast<size_t>(shape.rank() - 2)));
  for (int64_t size : tail) out.push_back(size);
  return out;
}

// Leading axes stretched to those of `to`; the last two as they are.
View stretched(const Tensor& x, const Shape& to) {
  const Shape shape = with_tail(to, {x.size(-2), x.size(-1)});
  return {x.data(), x.dtype(), shape, broadcast_strides(x.shape(), x.strides(), shape)};
}

Shape product_shape(const Tensor& x, const Tensor& y) {
  check(x.size(-1) == y.size(-2), "matmul: x ", x.shape(), " has ", x.size(-1), " columns, but y ",
        y.shape(), " has ", y.size(-2), " rows");
  const Shape a = with_tail(x.shape(), {1, 1}), b = with_tail(y.shape(), {1, 1});
  return with_tail(broadcast_shapes(a, b, "matmul"), {x.size(-2), y.size(-1)});
}

int64_t rows_of(const Tensor& x) {
  int64_t rows = 1;
  for (int i = 0; i < x.rank() - 1; ++i) rows *= x.size(i);
  return rows;
}

}  // namespace

Tensor matmul(const Tensor& x, const Tensor& y) {
  check(x.rank() >= 1 && y.rank() >= 1, "matmul: wants at least one axis each, x is ", x.shape(),
        ", y is ", y.shape());
  check_pair("matmul", x, "y", y);
  if (x.rank() == 1) return squeeze(matmul(unsqueeze(x, 0), y), y.rank() == 1 ? 0 : -2);
  if (y.rank() == 1) return squeeze(matmul(x, unsqueeze(y, 1)), -1);
  if (x.rank() > 2 && y.rank() == 2) {  // one y for all: a taller product, a gradient in one piece
    const Shape shape = product_shape(x, y);
    return reshape(matmul(reshape(x, {rows_of(x), x.size(-1)}), y), shape);
  }
  const Shape shape = product_shape(x, y);
  Tensor z = empty(shape, {x.dtype(), x.device()});
  kernels(x).gemm.matmul(stretched(x, shape), stretched(y, shape), {}, z.view());
  return record("matmul", z, {x, y}, [x = Saved(x), y = Saved(y)](const Tensor& g, Wanted wanted) {
    return Grads{wanted[0] ? matmul(g, transpose(y.get(), -1, -2)) : Tensor{},
                 wanted[1] ? matmul(transpose(x.get(), -1, -2), g) : Tensor{}};
  });
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(x.rank() >= 1, "linear: x needs at least one axis");
  check(weight.rank() == 2, "linear: weight must be [out, in], got ", weight.shape());
  check(x.size(-1) == weight.size(1), "linear: weight ", weight.shape(), " takes ", weight.size(1),
        " features, but x is ", x.shape());
  check_pair("linear", x, "weight", weight);
  if (bias.defined()) {
    check(bias.shape() == Shape{weight.size(0)}, "linear: bias must be [", weight.size(0),
          "], got ", bias.shape());
    check_pair("linear", x, "bias", bias);
  }
  if (x.rank() != 2) {
    Shape shape = x.shape();
    shape[x.rank() - 1] = weight.size(0);
    return reshape(linear(reshape(x, {rows_of(x), x.size(-1)}), weight, bias), shape);
  }
  Tensor y = empty({x.size(0), weight.size(0)}, {x.dtype(), x.device()});
  const Tensor b = bias.defined() ? relayout(bias, Layout::row_major) : Tensor{};
  const View w = weight.view();
  kernels(x).gemm.matmul(x.view(),
                         {w.data, w.dtype, {w.size(1), w.size(0)}, {w.stride(1), w.stride(0)}},
                         {.bias = b.defined() ? b.view() : View{}}, y.view());
  return record("linear", y, {x, weight, bias},
                [x = Saved(x), w = Saved(weight)](const Tensor& g, Wanted wanted) {
                  return Grads{wanted[0] ? matmul(g, w.get()) : Tensor{},
                               wanted[1] ? matmul(transpose(g, 0, 1), x.get()) : Tensor{},
                               wanted[2] ? sum(g, 0) : Tensor{}};
                });
}

}  // namespace brume
