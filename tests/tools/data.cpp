// Data that a model is not made for, or that are not where they were, or are no pictures.

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/ops/random.h>
#include <brume/core/backend.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/png.h>
#include <brume/nn/training/run_log.h>

#include "tests/error_of.h"
#include "tests/tools/small_run.h"
#include "tools/data_summary.h"
#include "tools/task.h"

using namespace brume;
using namespace brume::test;

namespace {

// What is said of a run's data at its start; `x` and `data` as its options.
std::string doubt(const Tensor& x, const std::vector<std::string>& changes = {}) {
  io::write_npy("tool_fields.npy", x);
  io::write_npy("tool_labels.npy", from_vector<int64_t>({0, 1, 0, 1, 0, 1}, {6}));
  std::ofstream("tool_config.json") << kConfig;
  const tools::RunOptions options = tools::read_run_options("tool_config.json", changes, {});
  const tools::RunData data = tools::open_data(options.data);
  return tools::make_task(options, data)->doubt(tools::summary_of(*data.train), options.data);
}

std::vector<std::string> net_of(const std::string& channels) {
  const std::string net = "model.args.model.args.";
  return {net + "in_channels=" + channels, net + "out_channels=" + channels};
}

// A run of tool_config.json whose data are the caller's.
int train_on(const Tensor& x, std::vector<std::string> changes, const std::string& folder) {
  REQUIRE(train(folder, {"steps=1"}) == 0);  // writes the files
  std::filesystem::remove_all(folder);
  io::write_npy("tool_fields.npy", x);
  return tools::train({.config = "tool_config.json",
                       .resume = "",
                       .out = folder,
                       .changes = std::move(changes),
                       .seed = {},
                       .quiet = true});
}

}  // namespace

TEST_CASE("moments and identity of data are what the numbers say, in any number of passes") {
  Generator rng(2);
  const Tensor x = normal({5, 2, 3, 3}, rng);
  const auto values = x.to_vector<float>();
  const tools::DataSummary s = tools::summary_of(nn::ArrayDataset(x, {}, 2, 1));
  double sum = 0, squares = 0;  // of channel 1, scaled
  for (size_t i = 0; i < values.size(); ++i)
    if (i / 9 % 2 == 1) {
      const double value = 2.0 * static_cast<double>(values[i]) + 1;
      sum += value, squares += value * value;
    }
  CHECK(s.channels[1].mean == doctest::Approx(sum / 45));
  CHECK(s.channels[1].deviation ==
        doctest::Approx(std::sqrt(squares / 45 - sum / 45 * (sum / 45))));
  CHECK(s.all.mean == doctest::Approx((s.channels[0].mean + s.channels[1].mean) / 2));
  CHECK(s.identity.samples == 5);
  CHECK(s.identity.shape == std::vector<int64_t>{2, 3, 3});

  const auto digest = [](const Tensor& of, const Tensor& labels = {}) {
    return tools::summary_of(nn::ArrayDataset(of, labels)).identity.digest;
  };
  const Tensor bytes = from_vector<uint8_t>({1, 2, 3, 4}, {2, 2});
  CHECK(digest(bytes) == digest(from_vector<float>({1, 2, 3, 4}, {2, 2})));
  CHECK(digest(bytes) != digest(from_vector<float>({1, 2, 4, 3}, {2, 2})));
  CHECK(digest(bytes, from_vector<int64_t>({0, 1}, {2})) !=
        digest(bytes, from_vector<int64_t>({1, 0}, {2})));
}

TEST_CASE("data far from sigma_data are named at the start, with the numbers that mend it") {
  Generator rng(1);
  const Tensor x = normal({6, 1, 4, 4}, rng);
  CHECK(doubt(x).empty());
  const std::vector<std::string> raw{"data.scale=40", "data.shift=100"};
  const std::string said = doubt(x, raw);
  check_says(said, {"far from sigma_data 0.5"});
  const size_t scale = said.find("data.scale ") + 11, shift = said.find("data.shift ") + 11;
  REQUIRE(scale != said.npos + 11);
  REQUIRE(shift != said.npos + 11);
  const std::vector<std::string> mended{
      "data.scale=" + said.substr(scale, said.find(' ', scale) - scale),
      "data.shift=" + said.substr(shift, said.find(',', shift) - shift)};
  CHECK(doubt(x, mended).empty());
  check_says(doubt(zeros({6, 1, 4, 4})), {"all the same"});

  std::vector<std::string> two = net_of("2");
  two.insert(two.end(), {"noise.sigma_data=[1,20]", "model.args.sigma_data=[1,20]"});
  check_says(doubt(normal({6, 2, 4, 4}, rng), two), {"channel 1 of data.x"});
}

TEST_CASE("data may lie elsewhere when a run is resumed, but must be the same") {
  REQUIRE(train("tool_stays", {}) == 0);
  REQUIRE(train("tool_moves", {"steps=2"}) == 0);
  std::filesystem::create_directories("elsewhere");
  std::filesystem::rename("tool_fields.npy", "elsewhere/x.npy");
  std::filesystem::rename("tool_labels.npy", "elsewhere/labels.npy");
  const auto resume = [](const std::string& x, const std::string& labels) {
    return tools::train({.config = "",
                         .resume = "tool_moves",
                         .data = x,
                         .labels = labels,
                         .changes = {"steps=4"},
                         .seed = {},
                         .quiet = true});
  };
  check_says(error_of([&] { resume("", ""); }), {"--data and --labels say where"});
  io::write_npy("elsewhere/others.npy", zeros({6, 1, 4, 4}));
  check_says(
      error_of([&] { resume("elsewhere/others.npy", "elsewhere/labels.npy"); }),
      {"the data are not those that 'tool_moves/checkpoints/", "was trained on: 'digest' was"});
  REQUIRE(resume("elsewhere/x.npy", "elsewhere/labels.npy") == 0);
  CHECK(bytes_of("tool_moves/model.safetensors") == bytes_of("tool_stays/model.safetensors"));
  check_says(bytes_of("tool_moves/options.json"), {"elsewhere/x.npy"});
}

TEST_CASE("data that hold nothing, or a scale that leaves nothing of them, are refused by name") {
  const auto refusal = [](const Tensor& x, const std::vector<std::string>& changes) {
    return error_of([&] { train_on(x, changes, "tool_nothing"); });
  };
  Generator rng(1);
  const Tensor x = normal({6, 1, 4, 4}, rng);
  check_says(refusal(zeros({0, 1, 4, 4}), {}),
             {"data.x 'tool_fields.npy' holds nothing", "[0, 1, 4, 4]"});
  check_says(refusal(zeros({6, 0, 4}), {}), {"data.x 'tool_fields.npy' holds nothing"});
  for (const char* scale : {"NaN", "0", "1e999"})
    check_says(refusal(x, {cat("data.scale=", scale)}), {"data.scale"});
  check_says(refusal(x, {"data.scale=1e300"}), {"data.x", "scale 1e+300", "not finite in f32"});
}

TEST_CASE("--resume says what it wants when it is given something else of a run, or no run") {
  REQUIRE(train("tool_named", {}) == 0);
  const auto refusal = [](const std::string& path) {
    return error_of([&] {
      tools::train({.config = "", .resume = path, .changes = {}, .seed = {}, .quiet = true});
    });
  };
  const std::string checkpoints = "tool_named/checkpoints", go_on = "with --resume tool_named";
  for (const std::string& path : {checkpoints, checkpoints + "/", checkpoints + "/latest",
                                  std::string("tool_named/model.safetensors")})
    check_says(refusal(path), {go_on});
  check_says(refusal(checkpoints + "/step_000000003.safetensors"),
             {go_on + ", from this one after echo step_000000003.safetensors > " + checkpoints +
              "/latest"});
  check_says(refusal("nowhere"), {"there is no 'nowhere'"});
  check_says(refusal("tool_fields.npy"), {"is no run folder"});

  std::filesystem::remove_all(checkpoints);
  check_says(refusal("tool_named"), {"train tool_named/options.json --out tool_named"});
  REQUIRE(train("tool_named", {}) == 0);
  std::filesystem::remove(checkpoints + "/latest");
  check_says(refusal("tool_named"), {"step_000000004.safetensors beside it is whole"});
  check_says(error_of([] {
               tools::train({.config = "tool_config.json",
                             .resume = "",
                             .out = "tool_named",
                             .changes = {},
                             .seed = {}});
             }),
             {"holds a run already"});
}

TEST_CASE(
    "channels that make no colour are pictures side by side; no picture is said at the start") {
  Generator rng(3);
  std::vector<std::string> changes = net_of("2");
  changes.emplace_back("sample_steps=4");
  REQUIRE(train_on(normal({6, 2, 4, 4}, rng), changes, "tool_two") == 0);
  const Tensor picture = io::read_png("tool_two/samples_000004.png");
  // 16 samples, 3 in a row of 2 channels each, 12 times as large as they are.
  CHECK(picture.shape() == Shape{3, 6 * 50 + 2, 6 * 50 + 2});
  REQUIRE(train_on(
              normal({6, 3, 4, 4}, rng),
              [] {
                std::vector<std::string> three = net_of("3");
                three.emplace_back("sample_steps=4");  // in blue and red
                return three;
              }(),
              "tool_three") == 0);

  const auto said = [&](const Shape& shape, std::vector<std::string> more) {
    std::filesystem::remove_all("tool_no_picture");
    const std::string text =
        error_of([&] { train_on(normal(shape, rng), std::move(more), "tool_no_picture"); });
    CHECK_FALSE(std::filesystem::exists("tool_no_picture"));  // before anything was written
    return text;
  };
  check_says(said({6, 4, 4}, {}), {"images of one channel are [N, 1, H, W]"});
  const std::vector<std::string> dit{
      "data.labels=",
      R"(model={"module": "EDMPreconditioner", "args": {"model": {"module": "DiT", "args":
         {"input_size": 4, "in_channels": 1, "patch_size": 1, "hidden_size": 8, "depth": 1,
         "num_heads": 1}}}})"};
  check_says(error_of([&] {
               train_on(normal({6, 4, 4}, rng), dit, "tool_dit");
             }),
             {"[2, 4, 4]", "images of one channel are [N, 1, H, W]"});
  check_says(said({6, 4, 4, 1}, {}), {"[4, 4, 1]", "move the channels to the front"});
  const std::vector<std::string> points{
      "data.labels=", "sample_steps=1",
      R"(model={"module": "EDMPreconditioner", "args": {"model": {"module": "FullyConnectedAdapter",
         "args": {"in_features": 18, "out_features": 2}}}})"};
  check_says(said({6, 2}, points), {"sample_steps: wants samples that are pictures"});
}

TEST_CASE("a run's memory is that of the device it trains on") {
  const Tensor held = zeros({25'000'000});  // 100 MB of the CPU
  for (const DeviceType type : {DeviceType::cpu, DeviceType::cuda}) {
    if (!has_backend(type)) continue;
    REQUIRE(train("tool_memory", {"steps=1"}) == 0);
    std::filesystem::remove_all("tool_memory");
    REQUIRE(tools::train({.config = "tool_config.json",
                          .resume = "",
                          .out = "tool_memory",
                          .changes = {},
                          .seed = {},
                          .device = {type, 0},
                          .quiet = true}) == 0);
    const std::vector<nn::LoggedRow> rows = nn::read_log("tool_memory/log.jsonl");
    for (const auto& [name, value] : rows.back().values)
      if (name == "memory_mb") CHECK((value >= 100) == (type == DeviceType::cpu));
  }
}

TEST_CASE("another shape than the model was trained on is drawn, or refused by the network") {
  REQUIRE(train("tool_shapes", {}) == 0);
  const auto draw = [](const std::vector<int64_t>& shape, const std::string& out) {
    return tools::sample({.path = "tool_shapes",
                          .out = out,
                          .num = 2,
                          .classes = "0-1",
                          .seeds = "",
                          .shape = shape,
                          .draw = {.steps = 3}});
  };
  CHECK(draw({1, 8, 8}, "tool_large.npy") == 0);
  CHECK(io::read_npy("tool_large.npy").shape() == Shape{2, 1, 8, 8});
  check_says(error_of([&] {
               draw({2, 4, 4}, "tool_large.npy");
             }),
             {"the model does not take samples of shape [2, 4, 4]"});
  check_says(error_of([&] { draw({16}, "tool_large.png"); }), {"no pictures"});
  check_says(error_of([&] { draw({1, 0, 4}, "tool_large.npy"); }), {"positive sizes"});
  check_says(error_of([&] { draw({1, -4, 4}, "tool_large.npy"); }), {"--shape"});
}

TEST_CASE("sampling that is stopped returns 130 and leaves no file behind") {
  REQUIRE(train("tool_stopped", {}) == 0);
  std::filesystem::remove_all("tool_drawn_into");
  std::filesystem::create_directories("tool_drawn_into");
  std::thread interrupt([] {
    // The file grows under a temporary name from the first batch on.
    for (int i = 0; i < 60'000 && io::list_folder("tool_drawn_into").empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(getpid(), SIGINT);
  });
  const int code = tools::sample({.path = "tool_stopped",
                                  .out = "tool_drawn_into/x.npy",
                                  .num = 1'000'000,
                                  .classes = "0-1",
                                  .seeds = "",
                                  .shape = {},
                                  .draw = {.steps = 3, .batch = 1}});
  interrupt.join();
  CHECK(code == 128 + SIGINT);
  CHECK(io::list_folder("tool_drawn_into").empty());
}
