// Attention at sizes where its blocks end, and beside other samples.

#include <algorithm>
#include <cmath>
#include <string>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/shape.h>

#include "tests/core/numbers.h"
#include "tests/thread_count.h"

using namespace brume;

namespace {

Tensor draw(const Shape& shape, uint32_t seed) {
  return from_vector(numbers<double>(numel(shape), seed), shape);
}

// The result and the gradients of q, k and v for a cotangent, in that order.
Tensors run(const Tensors& in, DType dtype, const AttentionOptions& options) {
  Tensors leaves;
  for (size_t i = 0; i < 3; ++i) leaves.push_back(set_requires_grad(convert(in[i], dtype)));
  Tensors out{attention(leaves[0], leaves[1], leaves[2], options)};
  for (Tensor& g : grad({out[0]}, leaves, {convert(in[3], dtype)})) out.push_back(g);
  return out;
}

double largest(const std::vector<double>& x) {
  double m = 0;
  for (double v : x) m = std::max(m, std::abs(v));
  return m;
}

double relative_error(const Tensor& x, const Tensor& exact) {
  std::vector<double> a = x.to_vector<double>();
  const std::vector<double> b = exact.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return largest(a) / std::max(largest(b), 1.0);
}

struct Case {
  int64_t batch, heads, queries, keys, width, value_width;
  bool causal;
};

Tensors operands(const Case& c) {
  return {draw({c.batch, c.heads, c.queries, c.width}, 1),
          draw({c.batch, c.heads, c.keys, c.width}, 2),
          draw({c.batch, c.heads, c.keys, c.value_width}, 3),
          draw({c.batch, c.heads, c.queries, c.value_width}, 4)};
}

}  // namespace

TEST_CASE("attention is right for one token, for odd widths, and for more keys than a block") {
  const Case cases[] = {
      {1, 1, 1, 1, 1, 1, false},       {2, 3, 1, 600, 5, 3, false},   {1, 2, 70, 600, 7, 5, false},
      {1, 1, 130, 1100, 3, 17, false}, {3, 4, 65, 1, 33, 1, false},   {1, 1, 600, 600, 5, 5, true},
      {1, 10, 129, 513, 3, 2, false},  {2, 3, 40, 50, 48, 16, false}, {1, 9, 64, 64, 64, 48, true}};
  for (const Case& c : cases) {
    INFO("L " << c.queries << ", S " << c.keys << ", D " << c.width << ", Dv " << c.value_width);
    const Tensors in = operands(c);
    const Tensors exact = run(in, DType::f64, {.causal = c.causal, .fused = false});
    const Tensors f64 = run(in, DType::f64, {.causal = c.causal});
    const Tensors f32 = run(in, DType::f32, {.causal = c.causal});
    for (size_t i = 0; i < exact.size(); ++i) {
      INFO("result or gradient " << i);
      CHECK(relative_error(f64[i], exact[i]) <= 1e-13);
      CHECK(relative_error(f32[i], exact[i]) <= 2e-6);
    }
  }
}

TEST_CASE("a sample's attention has the same bits alone, in a batch, and on any threads") {
  const Case c{16, 1, 130, 520, 5, 3, false};
  const Tensors in = operands(c);
  const Tensors together = run(in, DType::f32, {});
  for (int threads : {1, 2}) {
    const Threads count(threads);
    for (int64_t sample : {0, 7, 15}) {
      Tensors one;
      for (const Tensor& x : in) one.push_back(slice(x, 0, sample, sample + 1));
      const Tensors alone = run(one, DType::f32, {});
      for (size_t i = 0; i < alone.size(); ++i) {
        INFO("sample " << sample << ", result or gradient " << i << ", threads " << threads);
        CHECK(alone[i].to_vector<float>() ==
              slice(together[i], 0, sample, sample + 1).to_vector<float>());
      }
    }
  }
}

TEST_CASE("the joint projection of queries, keys and values is read in place") {
  const int64_t batch = 2, heads = 2, tokens = 50, width = 48;
  struct Order {
    Shape shape;
    Dims axes;  // to [3, batch, heads, tokens, width]
  };
  const Order orders[] = {
      {{batch, tokens, 3, heads, width}, {2, 0, 3, 1, 4}},   // transformers
      {{batch, tokens, heads, width, 3}, {4, 0, 2, 1, 3}}};  // the UNets: 3 is the fastest
  for (const Order& order : orders) {
    const Tensor qkv = convert(draw(order.shape, 5), DType::f32), leaf = set_requires_grad(qkv);
    const Tensor y = self_attention(permute(leaf, order.axes));
    const Tensor g = convert(draw(y.shape(), 6), DType::f32);
    const Tensor gx = permute(grad({y}, {leaf}, {g})[0], order.axes);
    Tensors in;
    for (int64_t i = 0; i < 3; ++i)
      in.push_back(relayout(select(permute(qkv, order.axes), 0, i), Layout::row_major));
    in.push_back(g);
    const Tensors apart = run(in, DType::f32, {});
    CHECK(y.to_vector<float>() == apart[0].to_vector<float>());
    for (int64_t i = 0; i < 3; ++i)
      CHECK(select(gx, 0, i).to_vector<float>() ==
            apart[static_cast<size_t>(i) + 1].to_vector<float>());
  }
}
