#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/nn/registry.h>

using namespace brume;

namespace {

// What tests/reference/initial_values.py wrote: PhysicsNeMo's classes, made from a seed.
nlohmann::json reference_cases() {
  std::ifstream file(BRUME_SOURCE_DIR "/tests/nn/data/initial_values.json");
  return nlohmann::json::parse(file);
}

// First and last element, the sum of all and of their absolute values.
std::vector<double> summary(const Tensor& x) {
  const std::vector<double> all = x.to_vector<double>();
  if (all.empty()) return {0, 0, 0, 0};
  double sum = 0, size = 0;
  for (const double v : all) sum += v, size += std::abs(v);
  return {all.front(), all.back(), sum, size};
}

}  // namespace

TEST_CASE("a module drawn from a seed of PyTorch has the numbers of the reference") {
  for (const auto& entry : reference_cases()) {
    const std::string name = entry.at("class"), arguments = entry.at("args").dump();
    CAPTURE(name);
    CAPTURE(arguments);
    Generator rng = Generator::torch_cpu(entry.at("seed").get<uint64_t>());
    const nn::Construction from_seed(rng);
    // construct() would build it twice; the draws of the first, without memory, do not count.
    const nn::Ref<nn::Module> module = nn::construct(name, arguments);
    const nn::NamedTensors state = module->state();
    const auto& wanted = entry.at("state");
    CHECK(state.size() == wanted.size());
    for (const nn::NamedTensor& t : state) {
      CAPTURE(t.name);
      REQUIRE(wanted.contains(t.name));
      const std::vector<double> got = summary(t.tensor);
      const double size = 1e-12 + got[3];
      for (size_t i = 0; i < 4; ++i)
        CHECK(std::abs(got[i] - wanted.at(t.name).at(i).get<double>()) < 2e-6 * size);
    }
  }
}
