// The program's commands, on networks of a few weights.

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/ops/random.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/png.h>
#include <brume/core/random.h>

#include "tools/evaluate.h"
#include "tools/sample.h"
#include "tools/train.h"

using namespace brume;

namespace {

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

constexpr const char* kConfig = R"({
  "data": {"x": "tool_fields.npy", "labels": "tool_labels.npy", "colours": "blue_red"},
  "model": {"module": "EDMPreconditioner", "args": {"model": {"module": "SongUNetAdapter", "args": {
    "img_resolution": 4, "in_channels": 1, "out_channels": 1, "label_dim": 2, "model_channels": 4,
    "channel_mult": [1], "num_blocks": 1, "attn_resolutions": []}}}},
  "batch_size": 2, "steps": 4, "report_steps": 2, "checkpoint_steps": 1
})";

// Trains into an emptied folder unless `resume`.
int train(const std::string& folder, std::vector<std::string> changes, bool resume = false) {
  Generator rng(1);
  io::write_npy("tool_fields.npy", normal({6, 1, 4, 4}, rng));
  io::write_npy("tool_labels.npy", from_vector<int64_t>({0, 1, 0, 1, 0, 1}, {6}));
  std::ofstream("tool_config.json") << kConfig;
  if (!resume) std::filesystem::remove_all(folder);
  return tools::train({.config = "tool_config.json",
                       .out = folder,
                       .resume = resume ? folder : "",
                       .changes = std::move(changes),
                       .seed = {},
                       .quiet = true});
}

std::string sampled(const std::string& path) {
  REQUIRE(tools::sample({.path = path,
                         .out = "tool_samples.npy",
                         .num = 4,
                         .classes = "0-1",
                         .seeds = "",
                         .shape = {},
                         .draw = {.steps = 3}}) == 0);
  return bytes_of("tool_samples.npy");
}

}  // namespace

TEST_CASE("a run that is stopped and resumed ends with the bytes of one that is not") {
  REQUIRE(train("tool_whole", {}) == 0);
  REQUIRE(train("tool_parts", {"steps=3"}) == 0);
  REQUIRE(train("tool_parts", {}, true) == 0);
  CHECK(bytes_of("tool_parts/model.safetensors") == bytes_of("tool_whole/model.safetensors"));
}

TEST_CASE("a run folder, its model and its checkpoint sample the same, classes included") {
  REQUIRE(train("tool_run", {}) == 0);
  const std::string samples = sampled("tool_run");
  CHECK(sampled("tool_run/model.safetensors") == samples);
  CHECK(sampled("tool_run/checkpoints/step_000000004.safetensors") == samples);
  std::filesystem::remove("tool_run/model.safetensors");  // as if it had been stopped
  CHECK(sampled("tool_run") == samples);
}

TEST_CASE("pictures of samples appear while training, and change no bit of it") {
  REQUIRE(train("tool_plain", {}) == 0);
  REQUIRE(train("tool_shown", {"sample_steps=2"}) == 0);
  CHECK(bytes_of("tool_shown/model.safetensors") == bytes_of("tool_plain/model.safetensors"));
  for (const char* name : {"tool_shown/samples_000002.png", "tool_shown/samples_000004.png"})
    CHECK(io::read_png(name).size(0) == 3);  // coloured by sign, as the data ask
  CHECK_FALSE(std::filesystem::exists("tool_shown/samples_000001.png"));
  CHECK_THROWS_AS(train("tool_shown", {"sample_steps=-1"}), ShapeError);
}

TEST_CASE("a run without labels is judged without a classifier") {
  REQUIRE(train("tool_unlabelled", {"data.labels=", "data.holdout_every=3",
                                    "model.args.model.args.label_dim=0"}) == 0);
  tools::EvaluateArguments arguments{
      .run = "tool_unlabelled", .classifier = "", .num = 4, .draw = {.steps = 3}};
  CHECK(tools::evaluate(arguments) == 0);
  arguments.classifier = "tool_unlabelled";
  CHECK_THROWS_AS(tools::evaluate(arguments), Error);
}
