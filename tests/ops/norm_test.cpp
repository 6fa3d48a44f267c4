// Norms beside other samples.

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/shape.h>

#include "tests/core/numbers.h"
#include "tests/thread_count.h"

using namespace brume;

namespace {

Tensor draw(const Shape& shape, uint32_t seed) {
  return from_vector(numbers<float>(numel(shape), seed), shape);
}

// The result, and the gradients of everything that each sample has for itself.
Tensors run(const Tensors& in, const Tensor& weight, const Tensor& bias) {
  Tensors leaves;
  for (size_t i = 0; i < 4; ++i) leaves.push_back(set_requires_grad(detach(in[i])));
  Tensors out{group_norm(leaves[0], weight, bias, 8,
                         {.activation = NormActivation::silu,
                          .add = leaves[1],
                          .scale = leaves[2],
                          .shift = leaves[3]})};
  for (Tensor& g : grad({out[0]}, leaves, {in[4]})) out.push_back(g);
  return out;
}

}  // namespace

TEST_CASE("a variance cannot be shifted below zero") {
  const Tensor x = ones({2, 4});
  CHECK_THROWS_WITH_AS(group_norm(x, {}, {}, 2, {.eps = -1}),
                       "group_norm: eps must not be negative, got -1", ShapeError);
  CHECK_THROWS_AS(layer_norm(x, {}, {}, -1), ShapeError);
  CHECK_THROWS_AS(rms_norm(x, {}, -1), ShapeError);
}

TEST_CASE("a sample's group norm has the same bits alone, in a batch, and on any threads") {
  // Channels that do not fill vectors, pixels that do not fill chunks.
  for (const Shape& image : {Shape{24, 41, 40}, Shape{64, 32, 32}, Shape{8, 1, 1}}) {
    const int64_t batch = 16, channels = image[0];
    const Shape all{batch, channels, image[1], image[2]}, terms{batch, channels};
    const Tensors in{draw(all, 1), draw(terms, 2), draw(terms, 3), draw(terms, 4), draw(all, 5)};
    const Tensor weight = draw({channels}, 6), bias = draw({channels}, 7);
    const Tensors together = run(in, weight, bias);
    for (int threads : {1, 2}) {
      const Threads count(threads);
      for (int64_t sample : {0, 9, 15}) {
        Tensors one;
        for (const Tensor& x : in)
          one.push_back(relayout(slice(x, 0, sample, sample + 1), Layout::row_major));
        const Tensors alone = run(one, weight, bias);
        for (size_t i = 0; i < alone.size(); ++i) {
          INFO("channels " << channels << ", sample " << sample << ", result or gradient " << i);
          CHECK(alone[i].to_vector<float>() ==
                slice(together[i], 0, sample, sample + 1).to_vector<float>());
        }
      }
    }
  }
}
