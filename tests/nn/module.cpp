#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>
#include <brume/nn/registry.h>

using namespace brume;

namespace {

struct PairConfig {
  int64_t width = 2;
  template <class V>
  void fields(V& v) {
    v("width", width);
  }
};

// Two layers that share one scale, and a table that is never saved.
struct Pair : nn::Module {
  using Config = PairConfig;
  explicit Pair(Config c)
      : scale(param("scale", {1}, nn::Init::constant(2))),
        count(buffer("count", zeros({1}, {.dtype = DType::i64}))),
        table(buffer("table", ones({3}), nn::transient)),
        first(child<nn::Linear>("layers.0", {.in_features = c.width, .out_features = 3})),
        second(child<nn::Linear>("layers.1", {.in_features = 3, .out_features = 1})),
        again(child("tied", first)) {}
  Tensor operator()(const Tensor& x) const { return second(first(x)) * scale; }
  Tensor scale, count, table;
  nn::Ref<nn::Linear> first, second, again;
};

std::vector<std::string> names(const nn::NamedTensors& tensors) {
  std::vector<std::string> out;
  for (const nn::NamedTensor& t : tensors) out.push_back(t.name);
  return out;
}

std::vector<float> values(const nn::Module& module) {
  std::vector<float> out;
  for (const nn::NamedTensor& t : module.state())
    for (const float v : t.tensor.to_vector<float>()) out.push_back(v);
  return out;
}

}  // namespace

TEST_CASE(
    "state lists a module's parameters, its saved buffers, then its children, under every name") {
  const auto pair = nn::make<Pair>();
  CHECK(names(pair->state()) ==
        std::vector<std::string>{"scale", "count", "layers.0.weight", "layers.0.bias",
                                 "layers.1.weight", "layers.1.bias", "tied.weight", "tied.bias"});
  CHECK(names(pair->parameters()) == std::vector<std::string>{"scale", "layers.0.weight",
                                                              "layers.0.bias", "layers.1.weight",
                                                              "layers.1.bias"});
  CHECK(names(pair->buffers()) == std::vector<std::string>{"count", "table"});
  CHECK(pair->parameter_count() == 1 + 6 + 3 + 3 + 1);
}

TEST_CASE("a name can be registered once") {
  struct Twice : nn::Module {
    using Config = PairConfig;
    explicit Twice(Config c) {
      param("a", {c.width}, nn::Init::constant(0));
      child<nn::Linear>("a", {.in_features = 1, .out_features = 1});
    }
  };
  CHECK_THROWS_WITH_AS(nn::make<Twice>(), "Twice: the name 'a' is registered already", Error);
  struct Nameless : nn::Module {
    using Config = PairConfig;
    explicit Nameless(Config c) { param("", {c.width}, nn::Init::constant(0)); }
  };
  CHECK_THROWS_AS(nn::make<Nameless>(), Error);
}

TEST_CASE("an empty Ref raises when it is called") {
  const nn::Ref<nn::Linear> none;
  CHECK_THROWS_WITH_AS(none(zeros({1, 2})), "Ref: holds no module; make one with nn::make", Error);
}

TEST_CASE("a module can neither contain itself nor be nested without end") {
  struct Box : nn::Module {
    using Config = PairConfig;
    explicit Box(Config) {}
    void put(nn::Ref<nn::Module> content) { child("content", std::move(content)); }
  };
  const auto outer = nn::make<Box>(), inner = nn::make<Box>();
  outer->put(inner);
  CHECK_THROWS_WITH_AS(inner->put(outer), "Box: child 'content' contains its parent", Error);
  CHECK_THROWS_AS(outer->put(outer), Error);
  const auto nest = [&] {
    nn::Ref<nn::Module> top = inner;
    for (int i = 0; i < 100; ++i) {
      const auto box = nn::make<Box>();
      box->put(top);
      top = box;
    }
  };
  CHECK_THROWS_AS(nest(), Error);
}

TEST_CASE("a clone has its own tensors, the same values, mode and frozen parameters") {
  const auto pair = nn::make<Pair>({.width = 5});
  pair->eval();
  pair->freeze("layers.0.*");
  const auto copy = nn::clone(pair);
  CHECK(values(*copy) == values(*pair));
  CHECK(copy->config_json() == pair->config_json());
  CHECK_FALSE(copy->training());
  CHECK_FALSE(requires_grad(copy->first->weight));
  CHECK(requires_grad(copy->second->weight));
  CHECK(copy->again == copy->first);
  {
    const NoGrad no_grad;
    fill_(copy->second->weight, 7);
  }
  CHECK(values(*copy) != values(*pair));
}

TEST_CASE("a clone of a module given as an argument is deep") {
  struct WrapConfig {
    nn::Ref<nn::Module> model{};
    void fields(nn::Fields& v) { v("model", model, nn::required); }
  };
  struct Wrap : nn::Module {
    using Config = WrapConfig;
    explicit Wrap(const Config& c) : model(child("model", c.model)) {}
    nn::Ref<nn::Module> model;
  };
  const auto wrap = nn::make<Wrap>({.model = nn::make<Pair>()});
  const auto copy = nn::clone(wrap);
  CHECK(copy->model.get() != wrap->model.get());
  CHECK(values(*copy) == values(*wrap));
}

TEST_CASE("train and eval reach every module below") {
  const auto pair = nn::make<Pair>();
  CHECK(pair->second->training());
  pair->eval();
  CHECK_FALSE(pair->second->training());
  pair->train();
  CHECK(pair->second->training());
}

TEST_CASE("to(dtype) is seen by the members, keeps integers and forgets gradients") {
  const auto pair = nn::make<Pair>();
  backward(sum((*pair)(ones({4, 2}))));
  CHECK(grad_of(pair->scale).defined());
  pair->to(DType::f64);
  CHECK(pair->first->weight.dtype() == DType::f64);
  CHECK(pair->table.dtype() == DType::f64);
  CHECK(pair->count.dtype() == DType::i64);
  CHECK(requires_grad(pair->scale));
  CHECK_FALSE(grad_of(pair->scale).defined());
  CHECK((*pair)(ones({4, 2}, {.dtype = DType::f64})).dtype() == DType::f64);
  CHECK_THROWS_AS(pair->to(DType::i32), DTypeError);
}

TEST_CASE("freeze takes patterns, and says so when none matches") {
  const auto pair = nn::make<Pair>();
  CHECK(pair->freeze("*.bias") == 2);
  CHECK_FALSE(requires_grad(pair->first->bias));
  CHECK(requires_grad(pair->first->weight));
  CHECK(pair->unfreeze() == 5);
  CHECK(requires_grad(pair->first->bias));
  CHECK_THROWS_WITH_AS(pair->freeze("layer.*"), "Pair: no parameter's name matches 'layer.*'",
                       Error);
}

TEST_CASE("a module draws from the generator it was given") {
  const auto pair = nn::make<Pair>();
  CHECK(&pair->generator() == &default_generator());
  pair->seed(5);
  CHECK(pair->generator().seed() == 5);
  CHECK(&pair->first->generator() == &pair->generator());
}

TEST_CASE("the same seed gives the same parameters") {
  const auto made = [](uint64_t seed) {
    Generator rng(seed);
    const nn::Construction from(rng);
    return values(*nn::make<Pair>());
  };
  CHECK(made(1) == made(1));
  CHECK(made(1) != made(2));
}

TEST_CASE("Linear starts from the numbers that the reference draws from the same seed") {
  // kaiming_normal: randn(2, 8) / sqrt(8); seed 42 of PyTorch begins 1.92691493, 1.48728418.
  Generator rng = Generator::torch_cpu(42);
  const nn::Construction from(rng);
  const auto layer = nn::make<nn::Linear>({.in_features = 8, .out_features = 2});
  const auto w = layer->weight.to_vector<float>();
  CHECK(w[0] == doctest::Approx(1.92691493 / std::sqrt(8.0)).epsilon(1e-6));
  CHECK(w[1] == doctest::Approx(1.48728418 / std::sqrt(8.0)).epsilon(1e-6));
  CHECK(layer->bias.to_vector<float>() == std::vector<float>{0, 0});
}

TEST_CASE("truncated normal values stay within their bounds") {
  Generator rng(3);
  const Tensor x = zeros({4096});
  nn::initialise(x, nn::Init::truncated_normal(1), rng);
  double sum = 0;
  for (const float v : x.to_vector<float>()) {
    REQUIRE(std::abs(v) <= 2);
    sum += v * v;
  }
  CHECK(sum / 4096 == doctest::Approx(0.774).epsilon(0.05));  // variance of N(0, 1) cut at 2
}

TEST_CASE("more parameters than any machine has are refused before memory is asked for") {
  CHECK_THROWS_WITH_AS(nn::make<nn::Linear>({.in_features = 1'000'000, .out_features = 1'000'000}),
                       "make: more than 68719476736 parameters in one model", ShapeError);
}
