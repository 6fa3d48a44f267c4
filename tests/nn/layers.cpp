#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/attention.h>
#include <brume/nn/layers/conv2d.h>
#include <brume/nn/layers/conv_blocks.h>
#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/norm.h>
#include <brume/nn/layers/unet_block.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;

namespace {

// Results and input gradients of two layers agree.
void check_same(const nn::Conv2d& a, const nn::Conv2d& b, const Shape& shape) {
  const Tensor xa = set_requires_grad(noise(shape)), xb = set_requires_grad(noise(shape));
  const Tensor ya = a(xa), yb = b(xb);
  REQUIRE(ya.shape() == yb.shape());
  CHECK(distance(ya, yb) < 1e-5);
  const Tensor g = noise(ya.shape(), 2);
  backward(ya, g);
  backward(yb, g);
  CHECK(distance(grad_of(xa), grad_of(xb)) < 1e-5);
}

}  // namespace

TEST_CASE("group norm divides the variance by n in training and by n - 1 in evaluation") {
  const auto norm = nn::make<nn::GroupNorm>({.num_channels = 4, .eps = 0});
  const Tensor x = noise({2, 4, 3, 2});  // one group of 24 values
  const Tensor biased = norm(x);
  norm->eval();
  const Tensor unbiased = norm(x);
  CHECK(distance(mean(square(biased), {1, 2, 3}), ones({2})) < 1e-5);
  CHECK(distance(unbiased, biased * std::sqrt(23.0 / 24)) < 1e-6);
  const auto apex = nn::make<nn::GroupNorm>({.num_channels = 4, .eps = 0, .use_apex_gn = true});
  apex->eval();
  CHECK(distance(apex(x), biased) == 0);
}

TEST_CASE("group norm counts its groups as the reference does") {
  // min(32, ceil(12 / 4)) = 3 groups of 4: channels 0-3 have mean 0 together.
  const auto norm = nn::make<nn::GroupNorm>({.num_channels = 12});
  const Tensor y = norm(noise({1, 12, 2, 2}));
  CHECK(std::abs(mean(slice(y, 1, 0, 4)).item()) < 1e-6);
  CHECK_THROWS_WITH_AS(nn::make<nn::GroupNorm>({.num_channels = 10}),
                       doctest::Contains("10 is not a multiple of its 3 groups; multiples of 4"),
                       ShapeError);
  CHECK_THROWS_AS(nn::make<nn::GroupNorm>({.num_channels = 8, .act = "sillu"}), Error);
}

TEST_CASE("every activation of a norm is what its name says") {
  const Tensor x = noise({1, 4, 3, 3});
  const Tensor plain = nn::make<nn::GroupNorm>({.num_channels = 4})(x);
  const auto with = [&](const char* act) {
    return nn::make<nn::GroupNorm>({.num_channels = 4, .act = act})(x);
  };
  CHECK(distance(with("SiLU"), silu(plain)) < 1e-6);
  CHECK(distance(with("relu"), relu(plain)) == 0);
  CHECK(distance(with("leaky_relu"), leaky_relu(plain, 0.01)) == 0);
  CHECK(distance(with("gelu"), gelu(plain)) == 0);
}

TEST_CASE("the box filter's short cuts compute what the general filter computes") {
  // {0, 1, 1, 0} is the same filter as {1, 1}, written so that nothing is cut short.
  const std::vector<double> box{1, 1}, general{0, 1, 1, 0};
  for (const bool up : {true, false})
    for (const int64_t kernel : {0, 1, 3}) {
      CAPTURE(up);
      CAPTURE(kernel);
      const auto layer = [&](const std::vector<double>& filter) {
        Generator rng(5);
        const nn::Construction from(rng);
        return nn::make<nn::Conv2d>({.in_channels = 3,
                                     .out_channels = kernel == 0 ? 3 : 5,
                                     .kernel = kernel,
                                     .up = up,
                                     .down = !up,
                                     .resample_filter = filter,
                                     .init_bias = 1});
      };
      check_same(*layer(box), *layer(general), {2, 3, 6, 4});
      check_same(*layer(box), *layer(general), {1, 3, up ? 5 : 4, 2});
    }
}

TEST_CASE("an odd last row or column is dropped by the box filter") {
  const auto down =
      nn::make<nn::Conv2d>({.in_channels = 1, .out_channels = 1, .kernel = 0, .down = true});
  const Tensor y = down(reshape(arange(0, 15), {1, 1, 3, 5}));  // rows of 5
  CHECK(y.shape() == Shape{1, 1, 1, 2});
  CHECK(y.to_vector<float>() == std::vector<float>{3, 5});
}

TEST_CASE("terms join a convolution wherever its resampling stands") {
  const auto check_terms = [](const nn::Conv2dConfig& config) {
    const auto layer = nn::make<nn::Conv2d>(config);
    const Tensor x = noise({2, 3, 4, 4});
    const Tensor plain = layer(x), added = noise({2, 5}), residual = noise(plain.shape(), 3);
    const Tensor y = (*layer)(x, {.per_sample = added, .residual = residual, .scale = 0.5});
    CHECK(distance(y, (plain + reshape(added, {2, 5, 1, 1}) + residual) * 0.5) < 1e-5);
    CHECK(distance((*layer)(x, {.scale = 0.5}), plain * 0.5) < 1e-6);
  };
  nn::Conv2dConfig config{.in_channels = 3, .out_channels = 5, .kernel = 3};
  check_terms(config);
  config.up = true;
  check_terms(config);
  config.fused_resample = true;
  check_terms(config);
  config.up = false;
  config.down = true;
  check_terms(config);
  config.kernel = 1;
  config.down = config.fused_resample = false;
  config.up = true;
  check_terms(config);
}

TEST_CASE("Conv2d says what it cannot do") {
  CHECK_THROWS_WITH_AS(
      nn::make<nn::Conv2d>(
          {.in_channels = 1, .out_channels = 1, .kernel = 3, .up = true, .down = true}),
      "Conv2d: up and down exclude each other", ShapeError);
  CHECK_THROWS_WITH_AS(nn::make<nn::Conv2d>({.in_channels = 1,
                                             .out_channels = 1,
                                             .kernel = 3,
                                             .up = true,
                                             .resample_filter = {1, 2, 1}}),
                       "Conv2d: up doubles each axis, which wants a resample_filter of an even "
                       "number of taps, got 3",
                       ShapeError);
  const auto layer = nn::make<nn::Conv2d>({.in_channels = 3, .out_channels = 1, .kernel = 3});
  CHECK_THROWS_WITH_AS(layer(zeros({1, 4, 8, 8})), "Conv2d: wants [B, 3, H, W], got [1, 4, 8, 8]",
                       ShapeError);
}

TEST_CASE("heads of UNetAttention must share its channels evenly") {
  CHECK_THROWS_AS(nn::make<nn::UNetAttention>({.out_channels = 8, .num_heads = 3}), ShapeError);
  // The default of 64 channels per head leaves no head for 8 channels.
  CHECK_THROWS_AS(nn::make<nn::UNetBlock>(
                      {.in_channels = 8, .out_channels = 8, .emb_channels = 4, .attention = true}),
                  ShapeError);
}

TEST_CASE("dropout acts in training only and follows the module's generator") {
  const auto block = nn::make<nn::UNetBlock>(
      {.in_channels = 4, .out_channels = 4, .emb_channels = 3, .dropout = 0.5, .init_zero = {}});
  const Tensor x = noise({1, 4, 4, 4}), emb = noise({1, 3});
  block->seed(1);
  const Tensor first = block(x, emb), second = block(x, emb);
  CHECK(distance(first, second) > 0);
  block->seed(1);
  CHECK(distance(block(x, emb), first) == 0);
  block->eval();
  CHECK(distance(block(x, emb), block(x, emb)) == 0);
}

TEST_CASE("positional embedding spans its frequencies, with the last included on request") {
  const auto open = nn::make<nn::PositionalEmbedding>({.num_channels = 8, .max_positions = 16});
  CHECK(open->freqs.to_vector<float>() == std::vector<float>{1, 0.5F, 0.25F, 0.125F});
  const auto closed = nn::make<nn::PositionalEmbedding>(
      {.num_channels = 10, .max_positions = 16, .endpoint = true});
  CHECK(closed->freqs.to_vector<float>() == std::vector<float>{1, 0.5F, 0.25F, 0.125F, 0.0625F});
  const auto sines_first = nn::make<nn::PositionalEmbedding>(
      {.num_channels = 8, .max_positions = 16, .embed_fn = nn::EmbeddingOrder::np_sin_cos});
  const Tensor x = noise({3});
  const auto halves = chunk(open(x), 2, 1);
  CHECK(distance(sines_first(x), cat({halves[1], halves[0]}, 1)) == 0);
  CHECK_THROWS_AS(open(zeros({2, 1})), ShapeError);
}

TEST_CASE("an activation's slope is a number, or a parameter that layers share") {
  const auto fixed = nn::construct("DGMLayer", R"({"in_features_1": 2, "in_features_2": 3,
      "out_features": 4, "activation_fn": "sin", "activation_par": 2.0, "weight_norm": true})");
  CHECK(fixed->state().size() == 5);  // bias, two matrices, two lengths
  const Tensor slope = set_requires_grad(full({1}, 2));
  const nn::Conv2dFCLayer::Config c{.in_features = 3,
                                    .out_features = 2,
                                    .activation_fn = "sin",
                                    .activation_par = {.shared = slope}};
  const auto layer = nn::make<nn::Conv2dFCLayer>(c);
  nn::ConvNdFCLayer::Config any{.in_features = 3, .out_features = 2, .activation_fn = "sin"};
  any.activation_par.fixed = 2;
  const auto same = nn::make<nn::ConvNdFCLayer>(any);
  nn::NamedTensors state;
  for (const nn::NamedTensor& t : layer->state())
    if (t.name == "conv.weight")
      state.push_back({"conv.conv.weight", reshape(t.tensor, {2, 3, 1})});
  nn::load_state(*same, state, nn::Strictness::loose);
  const Tensor x = noise({2, 3, 4, 5});
  const Tensor y = layer(x);
  CHECK(distance(y, same(x)) < 1e-6);
  backward(sum(y));
  CHECK(grad_of(slope).defined());
  CHECK(error_of([] {
          nn::construct("Conv1dFCLayer",
                        R"({"in_features": 2, "out_features": 3, "weight_norm": true})");
        }).find("weight_norm") != std::string::npos);
}

TEST_CASE("an unknown activation is answered with every name that would do") {
  const std::string function = error_of([] { nn::activation_by_name("swish"); });
  const std::string module = error_of([] { nn::make<nn::NamedActivation>({.name = "swish"}); });
  for (const char* name : {"relu", "identity"}) {
    CHECK(function.find(name) != std::string::npos);
    CHECK(module.find(name) != std::string::npos);
  }
  for (const char* name : {"prelu", "stan", "capped_gelu", "cappek_leaky_relu"}) {
    CHECK(function.find(name) == std::string::npos);  // these have parameters of their own
    CHECK(module.find(name) != std::string::npos);
  }
}
