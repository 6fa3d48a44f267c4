// What pointwise operations promise beside value and gradient, which the op table checks.

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/pointwise_call.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/error_of.h"

using namespace brume;

namespace {

using Floats = std::vector<float>;

Tensor floats(const Floats& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
Tensor leaf(const Floats& values) { return set_requires_grad(floats(values)); }

}  // namespace

TEST_CASE("a temporary that nobody else sees gives its memory to the result") {
  Tensor x = floats({1, 2, 3});
  const void* memory = x.data();
  const Tensor y = exp(std::move(x));
  CHECK(y.data() == memory);
  const Tensor z = floats({1, 2, 3});
  CHECK((z * (z + 1)).to_vector<float>() == Floats{2, 6, 12});
}

TEST_CASE("memory that somebody else can see is never written") {
  const Tensor kept = floats({1, 2, 3});
  Tensor again = kept;
  CHECK(exp(std::move(again)).data() != kept.data());

  Tensor viewed = floats({1, 2, 3});
  const Tensor view = reshape(viewed, {3, 1});
  (void)exp(std::move(viewed));
  CHECK(view.to_vector<float>() == Floats{1, 2, 3});

  Floats foreign{1, 2, 3};
  (void)exp(from_memory(foreign.data(), {3}, DType::f32, {}));
  CHECK(foreign == Floats{1, 2, 3});

  const Tensor w = leaf({1, 2, 3});
  Tensor saved = floats({4, 5, 6});
  const Tensor product = w * saved;
  (void)exp(std::move(saved));
  backward(sum(product));
  CHECK(grad_of(w).to_vector<float>() == Floats{4, 5, 6});
}

TEST_CASE("backward keeps only the operands that its derivatives need") {
  const Tensor w = leaf({1, 2}), x = floats({3, 4});
  const auto handles = [&](const Tensor& y) {
    (void)y;
    return x.impl().use_count();
  };
  CHECK(handles(w + x) == 1);
  CHECK(handles(w * x) == 2);
  CHECK(handles(gated_residual(x, w, floats({5, 6}))) == 1);
  CHECK(handles(gated_residual(floats({5, 6}), w, x)) == 2);
  CHECK(handles(modulate(w, floats({5, 6}), x)) == 1);
}

TEST_CASE("a result lies in memory like the first operand of its shape") {
  const Tensor rows = ones({2, 3, 4, 5}), images = relayout(rows, Layout::channels_last);
  CHECK(exp(images).is_channels_last());
  CHECK((images + rows).is_channels_last());
  CHECK((rows + images).is_row_major());
  CHECK((ones({3, 1, 1}) * images).is_channels_last());
  CHECK(gt(images, 0).is_channels_last());
  const Tensor w = set_requires_grad(relayout(images, Layout::channels_last));
  backward(sum(silu(w)));
  CHECK(grad_of(w).is_channels_last());
}

TEST_CASE("operands of large tensors may lie in different orders") {
  const Shape shape{2, 32, 20, 30};
  const Tensor x = alias(arange(0, numel(shape)), shape, dense_strides(shape));
  const Tensor y = relayout(x, Layout::channels_last);
  const Tensor difference = x - y, opposite = y - x;
  CHECK(sum(abs(difference)).item() == 0);
  CHECK(sum(abs(opposite)).item() == 0);
  const Tensor w = set_requires_grad(y);
  backward(sum(x * (w * x)));
  CHECK(sum(abs(grad_of(w) - square(x))).item() == 0);
}

TEST_CASE("bf16 is computed in f32 and rounded once") {
  const Tensor x = convert(floats({0.1F, 1.7F, -2.3F}), DType::bf16);
  const Tensor y = silu(x);
  CHECK(y.dtype() == DType::bf16);
  CHECK(y.to_vector<float>() ==
        convert(silu(convert(x, DType::f32)), DType::bf16).to_vector<float>());
}

TEST_CASE("at a tie the two sides of maximum share the gradient") {
  const Tensor x = leaf({1, 2, 3}), y = leaf({1, 3, 2});
  backward(sum(maximum(x, y)));
  CHECK(grad_of(x).to_vector<float>() == Floats{0.5F, 0, 1});
  CHECK(grad_of(y).to_vector<float>() == Floats{0.5F, 1, 0});
}

TEST_CASE("second derivatives come from the same formula, third ones are refused by name") {
  const Tensor x = leaf({0.5F});
  const BackwardOptions recorded{.create_graph = true};
  const Tensor first = grad({tanh(x)}, {x}, {}, recorded)[0];
  const Tensor second = grad({first}, {x}, {}, recorded)[0];
  const double t = std::tanh(0.5);
  CHECK(first.item() == doctest::Approx(1 - t * t));
  CHECK(second.item() == doctest::Approx(-2 * t * (1 - t * t)));
  CHECK(error_of([&] { (void)grad({second}, {x}); }) == "tanh: no third derivative");
}

TEST_CASE("a function of the user has both orders of gradients") {
  const double d = 0.7;
  const auto huber = [d](auto a, auto b) {
    using V = decltype(a);
    const V e = abs(a - b);
    return select(e < V(d), 0.5 * e * e, d * (e - 0.5 * d));
  };
  const Tensor x = leaf({0.5F, 2}), y = floats({0.25F, 0});
  const Tensor value = pointwise(huber, x, y);
  CHECK(value.to_vector<float>() == Floats{0.03125F, static_cast<float>(0.7 * (2 - 0.35))});
  const Tensor slope = grad({value}, {x}, {}, {.create_graph = true})[0];
  CHECK(slope.to_vector<float>() == Floats{0.25F, 0.7F});
  CHECK(grad({slope}, {x})[0].to_vector<float>() == Floats{1, 0});
}

TEST_CASE("dtypes are not mixed, and only integer functions take integers") {
  const Tensor f = floats({1, 2}), d = convert(f, DType::f64);
  const Tensor i = from_vector(std::vector<int64_t>{-7, 7}, {2});
  CHECK(error_of([&] { f + d; }) == "add: operands are f32 and f64; convert one of them");
  CHECK(error_of([&] { exp(i); }) == "exp: wants a floating dtype, got i64");
  CHECK(error_of([&] { i * 0.5; }) ==
        "mul: a tensor of i64 and the number 0.5; convert the tensor first");
  CHECK(floor_divide(i, 2).to_vector<int64_t>() == std::vector<int64_t>{-4, 3});
  CHECK(remainder(i, 4).to_vector<int64_t>() == std::vector<int64_t>{1, 3});
  CHECK(fmod(i, 4).to_vector<int64_t>() == std::vector<int64_t>{-3, 3});
  CHECK((f * gt(f, 1.5)).to_vector<float>() == Floats{0, 2});
  CHECK(where(gt(i, 0), i, 0).to_vector<int64_t>() == std::vector<int64_t>{0, 7});
  const Tensor bytes = from_vector(std::vector<uint8_t>{250, 3}, {2});
  CHECK((bytes + 10).to_vector<uint8_t>() == std::vector<uint8_t>{4, 13});
}

TEST_CASE("powers by a number take negative bases and the exponents 0, 1 and 2 at zero") {
  const Tensor x = leaf({-2, 0, 3});
  const auto value_and_slope = [&](double exponent) {
    const Tensor y = pow(x, exponent);
    return std::pair(y.to_vector<float>(), grad({y}, {x})[0].to_vector<float>());
  };
  CHECK(value_and_slope(3) == std::pair(Floats{-8, 0, 27}, Floats{12, 0, 27}));
  CHECK(value_and_slope(2) == std::pair(Floats{4, 0, 9}, Floats{-4, 0, 6}));
  CHECK(value_and_slope(0) == std::pair(Floats{1, 1, 1}, Floats{0, 0, 0}));
  CHECK(value_and_slope(1).first == Floats{-2, 0, 3});
}
