// The program's commands, on networks of a few weights.

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/random.h>
#include <brume/core/backend.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/png.h>
#include <brume/core/random.h>
#include <brume/nn/model_file.h>
#include <brume/nn/serialize.h>
#include <brume/nn/training/run_directory.h>
#include <brume/nn/training/run_log.h>

#include "tests/error_of.h"
#include "tests/tools/small_run.h"
#include "tools/evaluate.h"
#include "tools/points.h"
#include "tools/sample.h"
#include "tools/train.h"

using namespace brume;
using namespace brume::test;

TEST_CASE("a run that is stopped and resumed ends with the bytes of one that is not") {
  REQUIRE(train("tool_whole", {}) == 0);
  REQUIRE(train("tool_parts", {"steps=3"}) == 0);
  REQUIRE(train("tool_parts", {}, true) == 0);
  CHECK(bytes_of("tool_parts/model.safetensors") == bytes_of("tool_whole/model.safetensors"));
}

TEST_CASE("a signal stops a run after a step, and it goes on in its folder to the same bytes") {
  std::filesystem::remove_all("tool_signalled");
  std::thread interrupt([] {
    for (int i = 0; i < 60'000 && !nn::latest_checkpoint("tool_signalled"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(getpid(), SIGINT);
  });
  const int code = train("tool_signalled", {"steps=10000000"});
  interrupt.join();
  CHECK(code == 128 + SIGINT);
  const std::string newest = *nn::latest_checkpoint("tool_signalled");
  const int64_t last = std::stoll(newest.substr(newest.find("step_") + 5)) + 2;
  const std::vector<std::string> to_the_end{"steps=" + std::to_string(last)};
  REQUIRE(tools::train({.config = "tool_config.json",
                        .resume = "tool_signalled",
                        .changes = to_the_end,
                        .seed = {},
                        .quiet = true}) == 0);
  REQUIRE(train("tool_unsignalled", to_the_end) == 0);
  CHECK(bytes_of("tool_signalled/model.safetensors") ==
        bytes_of("tool_unsignalled/model.safetensors"));
}

TEST_CASE("a run never writes into the folder of another") {
  REQUIRE(train("tool_one", {}) == 0);
  REQUIRE(train("tool_other", {"seed=1"}) == 0);
  const std::string model = bytes_of("tool_other/model.safetensors");
  CHECK_THROWS_AS(tools::train({.config = "tool_config.json",
                                .resume = "tool_one",
                                .out = "tool_other",
                                .changes = {"steps=6"},
                                .seed = {},
                                .quiet = true}),
                  IoError);
  CHECK(bytes_of("tool_other/model.safetensors") == model);
}

TEST_CASE("a run before its first checkpoint is begun anew, unless it is in use") {
  REQUIRE(train("tool_early", {}) == 0);
  std::filesystem::remove_all("tool_early/checkpoints");
  const auto resumed = [] { return error_of([] { train("tool_early", {}, true); }); };
  CHECK(resumed().find("begin it anew: brume train tool_early/options.json") != std::string::npos);
  const nn::RunDirectory in_use("tool_early");
  CHECK(resumed().find("'tool_early' is in use by process") != std::string::npos);
}

TEST_CASE("noise for other data than the preconditioner's is refused, and no scale at all too") {
  CHECK_THROWS_AS(train("tool_scale", {"noise.sigma_data=5"}), Error);
  CHECK_THROWS_AS(train("tool_scale", {"noise.sigma_data=[]"}), ShapeError);
  CHECK(train("tool_scale", {"noise.sigma_data=5", "model.args.sigma_data=5"}) == 0);
}

TEST_CASE("a picture of no known format is refused before anything is drawn") {
  // The folder is missing too; the name is complained about first.
  const std::string text = error_of([] {
    tools::sample({.path = "tool_missing",
                   .out = "x.jpg",
                   .classes = "",
                   .seeds = "",
                   .shape = {},
                   .draw = {.steps = 3}});
  });
  CHECK(text.find("x.jpg") != text.npos);
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

TEST_CASE("samples that are not numbers, or too few, are no verdict") {
  REQUIRE(train("tool_broken", {"data.holdout_every=3"}) == 0);
  tools::EvaluateArguments arguments{
      .run = "tool_broken", .classifier = "", .num = 4, .draw = {.steps = 3}, .json = true};
  CHECK(tools::evaluate(arguments) == 0);
  arguments.num = 2;  // one of each class
  CHECK(error_of([&] { tools::evaluate(arguments); }).find("--num") != std::string::npos);
  arguments.num = 4;
  const auto model = nn::load("tool_broken/model.safetensors");
  const io::Metadata notes = nn::open_model_file("tool_broken/model.safetensors").notes;
  {
    const NoGrad no_grad;
    fill_(model->parameters()[0].tensor, std::nan(""));
  }
  nn::save(*model, "tool_broken/model.safetensors", notes);
  CHECK(error_of([&] { tools::evaluate(arguments); }).find("not finite") != std::string::npos);
}

TEST_CASE("distances of hand-made points are what a ruler says") {
  const Tensor x = from_vector<float>({0, 0, 3, 4, 6, 8, 0, 1}, {4, 2});
  const tools::Points p = tools::points_of(x, {0, 0, 1, 0}, "test");
  CHECK(tools::spread(p, 0) == doctest::Approx((5 + 1 + std::sqrt(18)) / 3));
  CHECK_THROWS_AS(tools::spread(p, 1), Error);
  const tools::Points train =
      tools::points_of(from_vector<float>({0, 0, 6, 7}, {2, 2}), {0, 0}, "test");
  CHECK(tools::nearest(p, train) == doctest::Approx((0 + std::sqrt(18) + 1 + 1) / 4));
  CHECK(tools::nearest(train, p) == doctest::Approx(0.5));
  CHECK_THROWS_AS(tools::points_of(full({1, 2}, std::nan("")), {0}, "test"), Error);
}

TEST_CASE("options that are no JSON object are refused, with or without a seed") {
  std::ofstream("tool_array.json") << "[]";
  for (const std::optional<int64_t> seed : {std::optional<int64_t>{}, std::optional<int64_t>{1}})
    CHECK(error_of([&] { tools::read_run_options("tool_array.json", {}, seed); }) ==
          "tool_array.json: wants a JSON object of options, such as "
          "examples/digits/diffusion.json");
}

TEST_CASE("a run whose steps are captured ends as one whose steps are not, resumed or whole") {
  train("tool_any", {"steps=1"});  // writes the configuration and the data
  for (const DeviceType type : {DeviceType::cpu, DeviceType::cuda}) {
    if (!has_backend(type)) continue;
    // What a run of five steps, and then two more, leaves behind.
    const auto trained = [&](bool graph) {
      std::filesystem::remove_all("tool_graph");
      std::string model;
      for (const char* steps : {"steps=5", "steps=7"}) {
        const bool resumed = !model.empty();
        REQUIRE(tools::train({.config = "tool_config.json",
                              .resume = resumed ? "tool_graph" : "",
                              .out = "tool_graph",
                              .changes = {"optimizer.clip_norm=0.5", "optimizer.warmup_steps=3",
                                          "checkpoint_steps=2", "report_steps=3", steps},
                              .seed = {},
                              .device = {type, 0},
                              .graph = graph,
                              .quiet = true}) == 0);
        model += bytes_of("tool_graph/model.safetensors");
      }
      std::vector<double> rows;
      for (const nn::LoggedRow& row : nn::read_log("tool_graph/log.jsonl"))
        for (const auto& [name, value] : row.values)
          if (name == "loss" || name == "lr" || name == "grad_norm") rows.push_back(value);
      return std::pair(model, rows);
    };
    const auto eager = trained(false), captured = trained(true);
    CHECK(captured.first == eager.first);
    CHECK(captured.second == eager.second);
    CHECK(eager.second.size() == 12);
  }
}
