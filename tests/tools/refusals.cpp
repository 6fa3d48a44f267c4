// What the program says to options that it does not take.

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/png.h>
#include <brume/core/io/zip.h>
#include <brume/nn/model_file.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/tools/small_run.h"
#include "tools/convert.h"
#include "tools/device.h"
#include "tools/evaluate.h"
#include "tools/info.h"
#include "tools/run_folder.h"

using namespace brume;
using namespace brume::test;

namespace {

tools::SampleArguments four_samples(const std::string& path) {
  return {.path = path,
          .out = "tool_samples.npy",
          .num = 4,
          .classes = "0-1",
          .seeds = "",
          .shape = {},
          .draw = {.steps = 3}};
}

}  // namespace

TEST_CASE("a run is resumed with its own options; others are named with both values") {
  REQUIRE(train("tool_options", {"steps=2"}) == 0);
  const auto resume = [](const std::vector<std::string>& changes) {
    return error_of([&] { train("tool_options", changes, true); });
  };
  const std::string text =
      resume({"optimizer.lr=0.5", "model.args.model.args.channel_mult=[2]", "steps=3"});
  check_says(text, {"'optimizer.lr' was 0.001, is 0.5",
                    "'model.args.model.args.channel_mult' was [1], is [2]"});
  CHECK(text.find("steps") == std::string::npos);
  check_says(resume({"optimizer.name=sgd"}), {"'optimizer.name' was \"adam\", is \"sgd\""});
  check_says(resume({"steps=1"}), {"stands at step 2", "steps is 1"});
  CHECK(resume({"steps=3", "report_steps=1", "data.colours=plain"}).empty());
}

TEST_CASE("a run folder alone is enough to go on") {
  REQUIRE(train("tool_whole", {}) == 0);
  REQUIRE(train("tool_alone", {"steps=3"}) == 0);
  REQUIRE(tools::train({.config = "",
                        .resume = "tool_alone",
                        .changes = {"steps=4"},
                        .seed = {},
                        .quiet = true}) == 0);
  CHECK(bytes_of("tool_alone/model.safetensors") == bytes_of("tool_whole/model.safetensors"));
  check_says(error_of([] {
               tools::train({.config = "", .resume = "tool_none", .changes = {}, .seed = {}});
             }),
             {"--resume: there is no 'tool_none'"});
}

TEST_CASE("options without meaning are named as the user wrote them") {
  struct Case {
    std::vector<std::string> changes, said;
  };
  const std::string net = "model.args.model.args.";
  const Case cases[] = {
      {{"data.holdout_every=1"}, {"data.holdout_every"}},
      {{"data.holdout_every=7"}, {"data.holdout_every is 7", "6 samples"}},
      {{"optimizer.warmup_steps=-5"}, {"optimizer.warmup_steps", "-5"}},
      {{"optimizer.clip_norm=-1"}, {"optimizer.clip_norm", "-1"}},
      {{net + "img_resolution=8"}, {"img_resolution is 8 x 8", "data.x, [C, H, W], are [1, 4, 4]"}},
      {{net + "label_dim=0"}, {"label_dim is 0", "2 classes"}},
      {{"data.labels="}, {"label_dim is 2", "data.labels"}},
      {{net + "in_channels=2"},
       {"data.x", "[2, 1, 4, 4]", "set in_channels and out_channels to 1"}},
      {{net + "out_channels=3"}, {"data.x", "set in_channels and out_channels to 1"}},
      {{net + "model_channels=34"}, {"model_channels"}},
      {{net + "model_channels=1048576"},
       {"more than", "parameters"}},  // absurd, and refused without memory
      {{"model.module=VPPreconditioner"}, {"EDM's noise", "VPPreconditioner", "EDMPreconditioner"}},
      {{"task=diffusion",
        "model={\"module\": \"SongUNetAdapter\", \"args\": {\"img_resolution\": 4, "
        "\"in_channels\": 1, \"out_channels\": 1, \"label_dim\": 2, \"model_channels\": 4, "
        "\"channel_mult\": [1], \"num_blocks\": 1, \"attn_resolutions\": []}}"},
       {"wants an EDMPreconditioner", "SongUNetAdapter", "put it inside"}},
      {{"model.module=EDMPreconditoner"},
       {"tool_config.json: model.module: there is no class 'EDMPreconditoner'; did you mean "
        "'EDMPreconditioner'?"}},
      {{"model.args.model.module=MyNet"}, {"model.args.model.module: there is no class 'MyNet'"}},
      {{"data.labels=tool_fields.npy"}, {"data.labels 'tool_fields.npy'"}},
      {{"task=classification", "sample_steps=1",
        "model={\"module\": \"FullyConnected\", \"args\": {\"in_features\": 16, "
        "\"out_features\": 2}}"},
       {"sample_steps"}},
  };
  for (const Case& c : cases)
    check_says(error_of([&] { train("tool_refused", c.changes); }), c.said);
}

TEST_CASE("a classifier of other classes than the data's is refused at once") {
  const std::string net = "model={\"module\": \"FullyConnected\", \"args\": {\"in_features\": 16, ";
  for (const char* out : {"1", "3"})
    check_says(
        error_of([&] {
          train("tool_classes", {"task=classification", cat(net, "\"out_features\": ", out, "}}")});
        }),
        {cat("out_features is ", out), "2 classes"});
}

TEST_CASE("drawing says which of its options does not fit the model") {
  REQUIRE(train("tool_drawn", {}) == 0);
  const auto refusal = [](auto change) {
    tools::SampleArguments arguments = four_samples("tool_drawn");
    change(arguments);
    return error_of([&] { tools::sample(arguments); });
  };
  check_says(refusal([](auto& a) { a.classes = "1-2"; }), {"--classes: 2", "0 to 1"});
  check_says(refusal([](auto& a) { a.num = 5; }), {"--num: 5", "multiple of 2", "6"});
  check_says(refusal([](auto& a) { a.draw.S_churn = 3; }), {"--churn", "heun"});
  for (const double churn : {-1.0, HUGE_VAL, std::nan("")})
    check_says(refusal([&](auto& a) {
                 a.draw.solver = "edm_stochastic_heun";
                 a.draw.S_churn = churn;
               }),
               {"--churn: wants a number that is not negative"});
  check_says(refusal([](auto& a) { a.draw.steps = 1'000'000'000'000; }), {"--steps", "1000000"});
  check_says(refusal([](auto& a) { a.seeds = "0-2"; }), {"--seeds: 3", "leave --num out"});
  CHECK(refusal([](auto& a) { a.seeds = "0-5", a.num = {}; }).empty());
  check_says(refusal([](auto& a) { a.seeds = "0-5999999,0-5999999", a.num = {}; }),
             {"--seeds: more than 10000000 numbers"});
  CHECK(io::read_npy("tool_samples.npy").size(0) == 6);
}

TEST_CASE("a classifier is no model to draw from, and is said to be none") {
  const auto net = nn::make<nn::FullyConnected>({.in_features = 16, .out_features = 2});
  nn::save(*net, "tool_classifier.safetensors");
  check_says(error_of([] { tools::sample(four_samples("tool_classifier.safetensors")); }),
             {"FullyConnected", "no diffusion model"});
}

TEST_CASE("a file with a class that the program does not have is said to hold one") {
  nn::write_model_file("tool_own.safetensors", "EDMPreconditioner",
                       R"({"model": {"module": "MyNet", "args": {}}})", {}, {});
  check_says(error_of([] { tools::load_model(nn::open_model_file("tool_own.safetensors")); }),
             {"'tool_own.safetensors' holds a 'MyNet', which brume does not have"});
}

TEST_CASE("what a model's file says of its samples may be anything, and is checked") {
  REQUIRE(train("tool_claims", {}) == 0);
  const auto refusal = [](const char* notes) {
    const auto model = tools::load_model(nn::open_model_file("tool_claims/model.safetensors"));
    nn::save(*model, "tool_claims.safetensors", {{tools::kSamplingKey, notes}});
    return error_of([] { tools::sample(four_samples("tool_claims.safetensors")); });
  };
  // 4 samples of so many classes are 4 numbers, counted in 64 bits.
  check_says(refusal(R"({"shape": [1, 4, 4], "classes": 4611686018427387905})"), {"classes"});
  check_says(refusal(R"({"shape": [1, -4, 4], "classes": 2})"), {"sizes must not be negative"});
  check_says(refusal(R"({"shape": [1, 0, 4], "classes": 2})"), {"a shape of positive sizes"});
}

TEST_CASE("a file that cannot be written is named as the user did, before a model is read") {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "x.npy");
  tools::SampleArguments drawn = four_samples("tool_missing");
  drawn.out = folder / "x.npy";
  CHECK(error_of([&] { tools::sample(drawn); }) ==
        "cannot write '" + drawn.out + "': it is a folder, not a file");
  const std::string out = folder / "absent/model.pt";
  CHECK(error_of([&] { tools::convert_file({.in = "tool_missing", .out = out}); }) ==
        "cannot create '" + out + "': No such file or directory");
}

TEST_CASE("a run that cannot be written says where it stands and how to go on") {
  static auto real = io::system_calls().write;
  // Reports fit on the disk, checkpoints no longer.
  static int large;
  large = 0;
  io::system_calls().write = [](int file, const void* data, size_t bytes) -> int64_t {
    if (bytes < 8000 || ++large == 1) return real(file, data, bytes);
    errno = ENOSPC;
    return -1;
  };
  const std::string text = error_of([] { train("tool_full", {}); });
  io::system_calls().write = real;
  check_says(text, {"cannot write 'tool_full/checkpoints/step_000000002.safetensors'",
                    "No space left on device", "the run stands at step 2",
                    "its newest checkpoint is 'tool_full/checkpoints/step_000000001.safetensors'",
                    "brume train --resume tool_full"});
  CHECK(train("tool_full", {}, true) == 0);
}

TEST_CASE("a run that diverges says at which step and what is left of it") {
  check_says(error_of([] {
               train("tool_diverged", {"optimizer.name=sgd", "optimizer.lr=1e30", "steps=9"});
             }),
             {"the loss of step", "the run stands at step", "its newest checkpoint is 'tool_"});
}

TEST_CASE("a run folder stands for its model, and a model for its run folder") {
  REQUIRE(train("tool_place", {"data.holdout_every=3"}) == 0);
  CHECK(tools::info("tool_place", true) == 0);
  CHECK(tools::model_of("tool_place") == "tool_place/model.safetensors");
  CHECK(tools::run_of("tool_place/model.safetensors") == "tool_place");
  CHECK(tools::run_of("tool_place/checkpoints/step_000000004.safetensors") == "tool_place");
  std::filesystem::rename("tool_fields.npy", "tool_moved.npy");
  CHECK(tools::evaluate({.run = "tool_place/model.safetensors",
                         .classifier = "",
                         .data = "tool_moved.npy",
                         .num = 4,
                         .draw = {.steps = 3}}) == 0);
}

TEST_CASE("a device that this machine lacks is refused in one sentence; auto takes what there is") {
  CHECK(tools::device_named("cpu") == kCpu);
  if (has_backend(DeviceType::cuda)) return;
  CHECK(tools::device_named("auto") == kCpu);
  check_says(error_of([] { tools::device_named("cuda"); }), {"cuda", "this build has no CUDA"});
}

TEST_CASE("a folder of pictures is a data set, its sub-folders are the classes") {
  std::filesystem::remove_all("tool_pictures");
  for (const char* name : {"cats/1.png", "cats/2.png", "dogs/1.Png"}) {
    const std::filesystem::path path = std::filesystem::path("tool_pictures") / name;
    std::filesystem::create_directories(path.parent_path());
    io::write_png(path.string(), full({1, 4, 4}, name[0], {.dtype = DType::u8}));
  }
  std::ofstream("tool_pictures/cats/notes.txt") << "no picture";
  const tools::RunData data =
      tools::open_data({.x = "tool_pictures", .labels = "", .scale = 1, .shift = -1});
  const nn::Batch all = nn::all_of(*data.train);
  CHECK(all.x.shape() == Shape{3, 1, 4, 4});
  CHECK(all.label.to_vector<int64_t>() == std::vector<int64_t>{0, 0, 1});
  const std::vector<float> pixels = all.x.to_vector<float>();
  CHECK(pixels.front() == 'c' - 1);
  CHECK(pixels.back() == 'd' - 1);
  CHECK(train("tool_of_pictures", {"data.x=tool_pictures", "data.labels="}) == 0);

  CHECK(error_of([] {
          train("tool_of_pictures",
                {"data.x=tool_pictures", "data.labels=", "model.args.model.args.label_dim=0"});
        }).ends_with("set label_dim to 2, or put all pictures into one folder"));

  // Transparency that hides nothing goes.
  io::write_png("tool_pictures/dogs/2.png", full({2, 4, 4}, 255, {.dtype = DType::u8}));
  CHECK(nn::all_of(*tools::open_data({.x = "tool_pictures", .labels = ""}).train).x.shape() ==
        Shape{4, 1, 4, 4});
  io::write_png("tool_pictures/dogs/2.png", full({2, 4, 4}, 254, {.dtype = DType::u8}));
  check_says(error_of([] { tools::open_data({.x = "tool_pictures", .labels = ""}); }),
             {"tool_pictures/dogs/2.png", "transparent pixels"});

  io::write_png("tool_pictures/dogs/2.png", zeros({3, 4, 4}, {.dtype = DType::u8}));
  const auto refusal = [] {
    return error_of([] { tools::open_data({.x = "tool_pictures", .labels = ""}); });
  };
  check_says(refusal(), {"tool_pictures/dogs/2.png", "[3, 4, 4]", "[1, 4, 4]"});
  std::filesystem::create_directory("tool_pictures/birds");
  check_says(refusal(), {"tool_pictures/birds", "no .png"});
  std::filesystem::create_directories("tool_pictures/birds/owls");
  check_says(refusal(), {"tool_pictures/birds/owls", "inside a class's"});
}

TEST_CASE("a file that holds no array is named as the option that wants one") {
  const auto refusal = [](const std::string& x) {
    return error_of([&] { tools::open_data({.x = x, .labels = ""}); });
  };
  std::ofstream("tool_empty.npy");
  std::ofstream("tool_text.png") << "a picture of a cat";
  io::write_png("tool_picture.png", zeros({1, 4, 4}, {.dtype = DType::u8}));
  for (const char* file : {"tool_empty.npy", "tool_text.png", "tool_picture.png"})
    check_says(refusal(file), {"data.x: wants a .npy file or a folder of PNG pictures", file});
  std::filesystem::create_directories("tool_texts");
  std::ofstream("tool_texts/1.png") << "a picture of a cat";
  check_says(refusal("tool_texts"), {"tool_texts/1.png: not a sound PNG"});
}

TEST_CASE("a state without a class is no dead end: it gets that of the run it came from") {
  REQUIRE(train("tool_stated", {}) == 0);
  const test::TemporaryFolder folder;
  const auto stated = folder / "stated.safetensors", back = folder / "back.safetensors",
             state = folder / "state.pt";
  if (io::has_zip()) {
    REQUIRE(tools::convert_file({.in = "tool_stated", .out = state}) == 0);
    REQUIRE(tools::convert_file({.in = state, .out = stated}) == 0);
    check_says(error_of([&] { tools::sample(four_samples(stated)); }),
               {"not of which class", "--as MODEL"});
    REQUIRE(tools::convert_file({.in = stated, .out = back, .like = "tool_stated"}) == 0);
    CHECK(bytes_of(back) == bytes_of("tool_stated/model.safetensors"));
  }
  check_says(error_of([&] {
               tools::convert_file({.in = "tool_stated", .out = back, .like = "tool_stated"});
             }),
             {"--as", "holds a EDMPreconditioner already"});
}

TEST_CASE("a checkpoint is converted with its averaged weights, and latest is the newest") {
  REQUIRE(train("tool_averaged", {}) == 0);
  const test::TemporaryFile file("averaged.safetensors");
  CHECK(tools::model_of("tool_averaged/checkpoints/latest") ==
        "tool_averaged/checkpoints/step_000000004.safetensors");
  CHECK(tools::convert_file({.in = "tool_averaged/checkpoints/latest", .out = file.path}) == 0);
  CHECK(bytes_of(file.path) == bytes_of("tool_averaged/model.safetensors"));
  CHECK(tools::info("tool_fields.npy", true) == 0);
}

TEST_CASE("evaluate judges by the data that run and classifier were trained on, or not at all") {
  const std::vector<std::string> classifier = {
      "task=classification", "data.holdout_every=3",
      "model={\"module\": \"FullyConnected\", \"args\": {\"in_features\": 16, "
      "\"out_features\": 2}}"};
  REQUIRE(train("tool_namer", classifier) == 0);
  std::vector<std::string> all = classifier;
  all[1] = "data.holdout_every=2";
  REQUIRE(train("tool_knower", all) == 0);
  REQUIRE(train("tool_judged_by", {"data.holdout_every=3"}) == 0);
  const auto judged = [](const std::string& namer, const std::string& data) {
    return error_of([&] {
      tools::evaluate({.run = "tool_judged_by",
                       .classifier = namer,
                       .data = data,
                       .num = 4,
                       .draw = {.steps = 3}});
    });
  };
  CHECK(judged("tool_namer", "") == "");
  check_says(judged("tool_knower", ""), {"evaluate: --classifier: the data are not those that",
                                         "'samples' was 3, is 4", "the run's data options"});
  const Tensor x = io::read_npy("tool_fields.npy");
  io::write_npy("tool_turned.npy", flip(x, {0}));
  check_says(
      judged("", "tool_turned.npy"),
      {"evaluate: the data are not those that 'tool_judged_by/model.safetensors'", "'digest' was"});
}

TEST_CASE("evaluate names what it was given: no run, or a classifier that is none") {
  REQUIRE(train("tool_named", {"data.holdout_every=3"}) == 0);
  tools::EvaluateArguments judged{
      .run = "tool_named/nope", .classifier = "tool_named", .num = 4, .draw = {.steps = 3}};
  CHECK(error_of([&] { tools::evaluate(judged); }) == "evaluate: there is no 'tool_named/nope'");
  judged.run = "tool_named";
  check_says(error_of([&] { tools::evaluate(judged); }),
             {"--classifier: 'tool_named' holds a EDMPreconditioner", "task classification"});
}

TEST_CASE("evaluate fails on a figure that is not as wanted, if it is asked to") {
  REQUIRE(train("tool_judged", {"data.holdout_every=3"}) == 0);
  const auto net = nn::make<nn::FullyConnected>({.in_features = 16, .out_features = 2});
  const NoGrad no_grad;
  for (const nn::NamedTensor& p : net->parameters()) copy_(p.tensor, zeros(p.tensor.shape()));
  nn::save(*net, "tool_zeros.safetensors");  // calls everything class 0
  tools::EvaluateArguments judged{
      .run = "tool_judged", .classifier = "tool_zeros.safetensors", .num = 4, .draw = {.steps = 3}};
  CHECK(tools::evaluate(judged) == 0);
  judged.require = true;
  CHECK(tools::evaluate(judged) == 1);
}
