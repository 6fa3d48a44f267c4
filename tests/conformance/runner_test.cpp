// The runner itself: what it lets pass and what not.

#include <limits>

#include <doctest/doctest.h>

#include <brume/core/io/safetensors.h>

#include "tests/conformance/runner.h"
#include "tests/temporary_folder.h"

using namespace brume;
using namespace brume::conformance;

namespace {

using Named = std::vector<std::pair<std::string, Tensor>>;

// Runs a file with this description and these tensors.
std::vector<Outcome> run(const std::string& description, const Named& tensors,
                         const RunOptions& options = {}) {
  const test::TemporaryFile file("case.safetensors");
  io::save_safetensors(file.path, tensors, {{"case", description}});
  std::vector<Outcome> outcomes;
  run_file(file.path, options, [&](const Outcome& outcome) { outcomes.push_back(outcome); });
  return outcomes;
}

// A bundle with one case of torch.mul.
Outcome multiply(const std::string& call, const Named& tensors,
                 const std::string& target = "torch.mul") {
  const std::vector<Outcome> outcomes =
      run(cat(R"({"format": 1, "kind": "op", "name": "made", "complex": [], "cases": [{"id": "0",
            "target": ")",
              target, R"(", "call": [{"name": "input", "tensor": "0/in/x"}, )", call,
              R"(], "outputs": ["0/out/0"], "grads": {"inputs": ["0/grad/in/x"],
            "cotangents": ["0/cotangent/0"]},
            "tol": {"0/out/0": [1e-5, 0.0], "0/grad/in/x": [1e-5, 0.0]}}]})"),
          tensors);
  REQUIRE(outcomes.size() == 1);
  return outcomes[0];
}

Tensor vec(const std::vector<float>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

Named doubled(float result, float gradient) {
  return {{"0/in/x", vec({1, 2})},
          {"0/cotangent/0", vec({1, 10})},
          {"0/out/0", vec({2, result})},
          {"0/grad/in/x", vec({2, gradient})}};
}

const Value kClose = List{1e-3, 0.0};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("a case passes when its result and gradient are right") {
  const Outcome outcome = multiply(R"({"name": "other", "value": 2.0})", doubled(4, 20));
  CHECK(outcome.text == "");
  CHECK(outcome.verdict == Verdict::passed);
  CHECK(outcome.name == "op/made/0");
}

TEST_CASE("a wrong result fails and a wrong gradient fails") {
  const Outcome result = multiply(R"({"name": "other", "value": 2.0})", doubled(4.001F, 20));
  CHECK(result.verdict == Verdict::failed);
  CHECK(result.key == "0/out/0");
  const Outcome gradient = multiply(R"({"name": "other", "value": 2.0})", doubled(4, 20.01F));
  CHECK(gradient.verdict == Verdict::failed);
  CHECK(gradient.key == "0/grad/in/x");
}

TEST_CASE("an unknown target fails and is named") {
  const Outcome outcome =
      multiply(R"({"name": "other", "value": 2.0})", doubled(4, 20), "torch.no_such_thing");
  CHECK(outcome.verdict == Verdict::failed);
  CHECK(outcome.text == "unknown target torch.no_such_thing");
}

TEST_CASE("an argument that the binding does not look at fails") {
  const Outcome outcome = multiply(
      R"({"name": "other", "value": 2.0}, {"name": "surprise", "value": 1})", doubled(4, 20));
  CHECK(outcome.verdict == Verdict::failed);
  CHECK(outcome.text == "torch.mul: surprise is an argument that is not served");
}

TEST_CASE("a view of an operand keeps the gradient with the stored tensor") {
  const std::vector<Outcome> outcomes = run(
      R"({"format": 1, "kind": "op", "name": "made", "cases": [{"id": "0", "target": "torch.neg",
          "call": [{"name": "input", "tensor": "0/in/x", "view": [["permute", 1, 0]]}],
          "outputs": ["0/out/0"], "grads": {"inputs": ["0/grad/in/x"],
          "cotangents": ["0/cotangent/0"]},
          "tol": {"0/out/0": [0.0, 0.0], "0/grad/in/x": [0.0, 0.0]}}]})",
      {{"0/in/x", from_vector<float>({1, 2}, {1, 2})},
       {"0/cotangent/0", from_vector<float>({3, 4}, {2, 1})},
       {"0/out/0", from_vector<float>({-1, -2}, {2, 1})},
       {"0/grad/in/x", from_vector<float>({-3, -4}, {1, 2})}});
  CHECK(outcomes.at(0).text == "");
}

TEST_CASE("the filter chooses by name and by target") {
  const std::string description =
      R"({"format": 1, "kind": "op", "name": "made", "cases": [
          {"id": "0", "target": "torch.neg", "call": [], "outputs": [], "tol": {}},
          {"id": "1", "target": "torch.abs", "call": [], "outputs": [], "tol": {}}]})";
  CHECK(run(description, {}).size() == 2);
  const std::vector<Outcome> by_name = run(description, {}, {.filter = "made/1"});
  REQUIRE(by_name.size() == 1);
  CHECK(by_name[0].target == "torch.abs");
  const std::vector<Outcome> by_target = run(description, {}, {.filter = "torch.neg"});
  REQUIRE(by_target.size() == 1);
  CHECK(by_target[0].name == "op/made/0");
}

TEST_CASE("a module's parameters must have the case's names, and all draws must be used") {
  const auto linear = [](const std::string& bias, const std::string& draws) {
    return run(cat(R"({"format": 1, "kind": "module", "name": "made", "target": "Linear",
                     "args": {"in_features": 2, "out_features": 1}, "mode": "eval",
                     "call": [{"name": "x", "tensor": "in/x"}], "outputs": ["out/0"],
                     "draws": [)",
                   draws, R"(], "tol": {"out/0": [1e-5, 0.0]}})"),
               {{"in/x", from_vector<float>({1, 2}, {1, 2})},
                {"draw/0", vec({1})},
                {"param/weight", from_vector<float>({3, 4}, {1, 2})},
                {bias, vec({5})},
                {"out/0", from_vector<float>({16}, {1, 1})}})
        .at(0);
  };
  CHECK(linear("param/bias", "").text == "");
  CHECK(linear("param/offset", "").text == "the case has no parameter 'bias'");
  CHECK(linear("param/bias", R"({"op": "rand", "tensor": "draw/0", "shape": [1]})").text ==
        "0 of 1 draws were made");
}

TEST_CASE("a tolerance is relative to the largest value of the tensor") {
  CHECK(compare(vec({100, 1}), vec({100, 1.05F}), kClose).ratio ==
        doctest::Approx(0.5).epsilon(0.01));
  CHECK_FALSE(compare(vec({100, 1}), vec({100, 1.2F}), kClose));
  CHECK(compare(vec({0, 1e-9F}), vec({0, 0}), List{1e-5, 1e-7}));
  CHECK_FALSE(compare(vec({0, 1e-9F}), vec({0, 0}), List{1e-5, 0.0}));
}

TEST_CASE("non-finite values agree in kind and place") {
  CHECK(compare(vec({kInfinity, kNan, 1}), vec({kInfinity, kNan, 1}), kClose));
  CHECK_FALSE(compare(vec({kInfinity, 1}), vec({-kInfinity, 1}), kClose));
  CHECK_FALSE(compare(vec({kNan, 1}), vec({kInfinity, 1}), kClose));
  CHECK_FALSE(compare(vec({1, kNan}), vec({1, 1}), kClose));
  CHECK_FALSE(compare(vec({kInfinity, 2}), vec({kInfinity, 1}), kClose));
}

TEST_CASE("shapes and dtypes must agree") {
  CHECK_FALSE(compare(from_vector<float>({1}, {1, 1}), vec({1}), kClose));
  CHECK_FALSE(compare(from_vector<double>({1}, {1}), vec({1}), kClose));
  CHECK_FALSE(compare({}, vec({1}), kClose));
}

TEST_CASE("integers are exact whatever the tolerance") {
  const int64_t big = (int64_t{1} << 60) + 1;
  const Value exact = std::string("exact");
  CHECK(compare(from_vector<int64_t>({big}, {1}), from_vector<int64_t>({big}, {1}), exact));
  CHECK_FALSE(
      compare(from_vector<int64_t>({big}, {1}), from_vector<int64_t>({big - 1}, {1}), exact));
}

TEST_CASE("rows of statistics are measured by their norm") {
  const Tensor expected = from_vector<double>({10, 1, 1, 1000, 1, 1}, {2, 3});
  const Tensor actual = from_vector<double>({10, 1, 1.5, 1000, 1, 1.5}, {2, 3});
  CHECK_FALSE(compare_statistics(actual, expected, List{1e-3, 0.0}));
  CHECK(compare_statistics(actual, expected, List{0.06, 0.0}));
  CHECK(compare(actual, expected, Map{{"rows", List{0.06, 1e-3}}}));
  CHECK_FALSE(compare(actual, expected, Map{{"rows", List{0.04, 1e-3}}}));
}
