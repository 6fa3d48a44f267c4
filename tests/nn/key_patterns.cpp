#include <doctest/doctest.h>

#include <string>

#include <brume/nn/layers/linear.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/noise.h"
#include "tests/temporary_folder.h"

using namespace brume;

namespace {

struct NoArguments {
  template <class V>
  void fields(V&) {}
};

// A model of a user, whose weights somebody else trained under other names.
struct Perceptron : nn::Module {
  using Config = NoArguments;
  explicit Perceptron(const Config&) {
    for (int i = 0; i < 2; ++i)
      layers.push_back(child<nn::Linear>(cat("layers.", i), nn::LinearConfig::torch_default(3, 3)));
  }
  std::vector<nn::Ref<nn::Linear>> layers;
};

}  // namespace

TEST_CASE("a star stands for any text, and the first pattern that fits decides") {
  const nn::KeyTable table = {{"model.blocks.*.fc_*.kernel", "layers.*.*.weight"},
                              {"*.num_batches_tracked", ""},
                              {"model.*", "*"}};
  CHECK(nn::renamed_key("model.blocks.12.fc_in.kernel", table) == "layers.12.in.weight");
  CHECK(nn::renamed_key("bn.num_batches_tracked", table) == "");
  CHECK(nn::renamed_key("model.head.bias", table) == "head.bias");
  CHECK(nn::renamed_key("head.bias", table) == "head.bias");
  CHECK(nn::renamed_key("a.b.a.b", {{"*.b", "*"}}) == "a.b.a");
  CHECK(nn::renamed_key("abc", {{"**", "*-*"}}) == "-abc");
  CHECK(error_of([] {
          nn::renamed_key("a", {{"a", "*"}});
        }) == "KeyPattern: '*' has more stars than 'a'");
}

TEST_CASE("a table of keys loads somebody's state dict into a module of one's own") {
  const auto ours = nn::make<Perceptron>();
  const test::TemporaryFile file("their_keys.safetensors");
  struct Theirs : nn::Module {
    using Config = NoArguments;
    explicit Theirs(const Config&) {
      first = child<nn::Linear>("net.fc0.inner", nn::LinearConfig::torch_default(3, 3));
      second = child<nn::Linear>("net.fc1.inner", nn::LinearConfig::torch_default(3, 3));
      buffer("net.steps", zeros({}, {.dtype = DType::i64}));
    }
    nn::Ref<nn::Linear> first, second;
  };
  nn::register_class<Theirs>("Theirs");
  const auto source = nn::make<Theirs>();
  nn::save(*source, file.path);
  const nn::KeyTable table = {{"net.steps", ""}, {"net.fc*.inner.*", "layers.*.*"}};
  nn::load_state(*ours, file.path, table);
  CHECK(distance(ours->layers[0]->weight, source->first->weight) == 0);
  CHECK(distance(ours->layers[1]->bias, source->second->bias) == 0);
  CHECK(error_of([&] {
          nn::load_state(*ours, file.path, {{"net.fc*.inner.*", "layers.*.*"}});
        }).find("unexpected: net.steps") != std::string::npos);
}

TEST_CASE("many stars cost no more than few") {
  std::string pattern, text(60, 'a');
  for (int i = 0; i < 30; ++i) pattern += "*a";
  CHECK(!nn::fits_pattern(text, pattern + "*b"));
  CHECK(nn::fits_pattern(text + "b", pattern + "*b"));
  CHECK(nn::renamed_key("x.a.b.a.b", {{"*.a.*b", "*-*"}}) == "x-b.a.");
}
