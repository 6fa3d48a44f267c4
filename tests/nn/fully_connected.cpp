#include <doctest/doctest.h>

#include <cmath>

#include <vector>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/core/io/safetensors.h>
#include <brume/nn/layers/mlp.h>
#include <brume/nn/models/fully_connected.h>

#include "tests/error_of.h"

using namespace brume;

TEST_CASE("a FullyConnected drawn from a seed of PyTorch has the reference's weights") {
  Generator rng = Generator::torch_cpu(0);
  const nn::Construction from_seed(rng);
  const auto net = nn::make<nn::FullyConnected>(
      {.in_features = 32, .layer_size = 8, .out_features = 8, .num_layers = 1});
  const auto wanted = io::open_safetensors(
      BRUME_SOURCE_DIR "/tests/conformance/data/module/pn_fullyconnected_output.safetensors");
  for (const auto& [name, value] : net->parameters())
    CHECK(max(abs(value - wanted.read("param/" + name))).item() < 1e-7);
}

TEST_CASE("adaptive activations train one slope under the name of every layer") {
  const auto net = nn::make<nn::FullyConnected>({.in_features = 2,
                                                 .layer_size = 3,
                                                 .out_features = 1,
                                                 .num_layers = 2,
                                                 .adaptive_activations = true});
  std::vector<std::string> keys;
  for (const auto& [name, value] : net->state()) keys.push_back(name);
  CHECK(keys == std::vector<std::string>{"layers.0.activation_par", "layers.0.linear.weight",
                                         "layers.0.linear.bias", "layers.1.activation_par",
                                         "layers.1.linear.weight", "layers.1.linear.bias",
                                         "final_layer.linear.weight", "final_layer.linear.bias"});
  CHECK(net->parameter_count() == 1 + 9 + 12 + 4);
}

TEST_CASE("a factored weight starts as the product of its factors' law") {
  const auto net = nn::make<nn::FactoredLinear>(
      {.in_features = 50, .out_features = 40, .form = nn::WeightForm::factored});
  const auto state = net->parameters();
  const Tensor w = state[1].tensor * state[2].tensor;
  CHECK(state[1].name == "g");
  CHECK(max(abs(w)).item() <= std::sqrt(6.0 / 90) + 1e-6);  // xavier
}

TEST_CASE("two forms of a weight at once and unknown activations are refused") {
  CHECK(error_of([] {
          nn::make<nn::FullyConnected>({.weight_norm = true, .weight_fact = true});
        }).find("exclude each other") != std::string::npos);
  CHECK(error_of([] {
          nn::make<nn::FullyConnected>({.activation_fn = std::string("rleu")});
        }).find("'rleu' is not known") != std::string::npos);
}

TEST_CASE("an Mlp counts its dropouts among its layers") {
  const auto mlp = nn::make<nn::Mlp>({.in_features = 2, .drop = 0.5});
  CHECK(mlp->parameters()[2].name == "layers.3.weight");
  const Tensor x = ones({4, 2});
  mlp->seed(1);
  CHECK(max(abs(mlp(x) - mlp(x))).item() > 0);
  mlp->eval();
  CHECK(max(abs(mlp(x) - mlp(x))).item() == 0);
}
