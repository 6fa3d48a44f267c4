#include <cmath>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/fs.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/optim/adam.h>
#include <brume/nn/optim/sgd.h>
#include <brume/nn/training/event_file.h>
#include <brume/nn/training/progress.h>
#include <brume/nn/training/run_directory.h>
#include <brume/nn/training/run_log.h>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"
#include "tests/training/run.h"

using namespace brume;
using brume::test::Run;

namespace {

std::string fresh_folder(const std::string& name) {
  std::filesystem::remove_all(name);
  return name;
}

// The checkpoint of one step, with tensors and metadata as `change` leaves them.
template <class F>
std::string changed_checkpoint(const test::TemporaryFile& file, const F& change) {
  Run run;
  run.step();
  nn::save_checkpoint(file.path, run.state);
  std::vector<std::pair<std::string, Tensor>> tensors;
  io::Metadata metadata;
  {
    const io::SafetensorsFile saved = io::open_safetensors(file.path);
    for (const auto& entry : saved.entries()) tensors.emplace_back(entry.name, saved.read(entry));
    metadata = saved.metadata();
  }
  change(tensors, metadata);
  io::save_safetensors(file.path, tensors, metadata);
  return file.path;
}

}  // namespace

TEST_CASE("resuming gives the same bits as not stopping") {
  Run whole;
  for (int i = 0; i < 12; ++i) whole.step();

  nn::RunDirectory folder(fresh_folder("run_resume"));
  Run first;
  for (int i = 0; i < 7; ++i) first.step();
  folder.save(first.state, 2);
  Run second;
  nn::load_checkpoint(*nn::latest_checkpoint("run_resume"), second.state);
  CHECK(second.state.step == 7);
  for (int i = 0; i < 5; ++i) second.step();
  CHECK(second.numbers() == whole.numbers());
}

TEST_CASE("a run folder keeps the newest checkpoints and has one owner") {
  nn::RunDirectory folder(fresh_folder("run_keep"));
  Run run;
  for (int i = 0; i < 4; ++i) {
    run.step();
    folder.save(run.state, 2);
  }
  CHECK(io::list_folder("run_keep/checkpoints") ==
        std::vector<std::string>{"latest", "step_000000003.safetensors",
                                 "step_000000004.safetensors"});
  CHECK_THROWS_AS(nn::RunDirectory("run_keep"), IoError);
  CHECK_FALSE(nn::latest_checkpoint("no_such_run"));
}

TEST_CASE("a checkpoint of another model is refused and changes nothing") {
  fresh_folder("run_other");
  nn::RunDirectory folder("run_other");
  Run run;
  run.step();
  folder.save(run.state, 1);
  auto other = nn::make<nn::FullyConnected>({.in_features = 4, .layer_size = 9, .out_features = 2});
  nn::Adam optimizer(other->parameters());
  nn::Ema ema(*other);
  nn::Loader loader(Run::data(), {.batch_size = 5});
  Generator rng(1);
  nn::TrainState state{
      .model = *other, .optimizer = optimizer, .ema = ema, .loader = loader, .rng = rng};
  const auto before = other->parameters()[0].tensor.to_vector<float>();
  const std::string text =
      error_of([&] { nn::load_checkpoint(*nn::latest_checkpoint("run_other"), state); });
  CHECK(text.ends_with("another model: 'layer_size' was 8, is 9; 'num_layers' was 2, is 6"));
  CHECK(other->parameters()[0].tensor.to_vector<float>() == before);
  CHECK(state.step == 0);
}

TEST_CASE("a checkpoint of another optimizer is refused and changes nothing") {
  fresh_folder("run_other_optimizer");
  nn::RunDirectory folder("run_other_optimizer");
  Run run;
  run.step();
  folder.save(run.state, 1);
  Run other;
  nn::Sgd optimizer(other.model->parameters());
  nn::TrainState state{.model = *other.model,
                       .optimizer = optimizer,
                       .ema = other.ema,
                       .loader = other.loader,
                       .rng = other.rng};
  const std::vector<float> before = other.numbers();
  REQUIRE(before != run.numbers());
  CHECK_THROWS_AS(nn::load_checkpoint(*nn::latest_checkpoint("run_other_optimizer"), state),
                  FormatError);
  CHECK(other.numbers() == before);
}

TEST_CASE("a generator that a checkpoint cannot bring back is refused") {
  Run run;
  run.rng = Generator::torch_cpu(1);
  std::filesystem::remove("run_torch.safetensors");
  CHECK_THROWS_AS(nn::save_checkpoint("run_torch.safetensors", run.state), Error);
  CHECK_FALSE(std::filesystem::exists("run_torch.safetensors"));
}

TEST_CASE("averages of a module that was converted since are refused, and nothing is stepped") {
  Run run;
  run.step();
  run.model->to(DType::f64);
  CHECK_THROWS_AS(run.ema.update(), Error);
  CHECK_THROWS_AS(run.ema.swap_in(), Error);

  Run fresh;  // its optimizer has no state yet that could refuse
  fresh.model->to(DType::f64);
  const std::vector<float> before = fresh.numbers();
  const Tensor x = convert(fresh.loader.next().x, DType::f64);
  backward(mean((*fresh.model)(x)));
  CHECK_THROWS_AS(fresh.optimizer.step({.ema = &fresh.ema}), Error);
  CHECK(fresh.numbers() == before);
}

TEST_CASE("averaged weights can be loaded from a checkpoint alone") {
  nn::RunDirectory folder(fresh_folder("run_average"));
  Run run;
  for (int i = 0; i < 3; ++i) run.step();
  folder.save(run.state, 1);
  const auto module = nn::load_averaged(*nn::latest_checkpoint("run_average"));
  CHECK_FALSE(module->training());
  CHECK(module->parameters()[0].tensor.to_vector<float>() ==
        run.ema.averages()[0].tensor.to_vector<float>());
}

TEST_CASE("averaged weights are not loaded unless all are there, and no others") {
  const test::TemporaryFile file("averages.safetensors");
  const auto drop = [&](const std::string& beginning) {
    return changed_checkpoint(file, [&](auto& tensors, auto&) {
      std::erase_if(tensors, [&](const auto& t) { return t.first.starts_with(beginning); });
    });
  };
  const std::string weight = Run().model->parameters()[0].name;
  CHECK(error_of([&] {
          nn::load_averaged(drop("ema." + weight));
        }).ends_with("it has no average of '" + weight + "'"));
  CHECK_THROWS_AS(nn::load_averaged(drop("ema.")), FormatError);
  const std::string more = changed_checkpoint(
      file, [](auto& tensors, auto&) { tensors.emplace_back("ema.other", zeros({1})); });
  CHECK(error_of([&] { nn::load_averaged(more); }).find("averages of what") != std::string::npos);
}

TEST_CASE("a checkpoint's position is taken as it stands or not at all") {
  const test::TemporaryFile file("position.safetensors");
  const std::pair<const char*, const char*> changes[] = {{"\"step\":1", "\"step\":1.5"},
                                                         {"\"step\":1", "\"step\":-1"},
                                                         {"\"rng\":[11", "\"rng\":[-1"},
                                                         {"\"averages\":1", "\"averages\":true"}};
  for (const auto& [before, after] : changes) {
    const std::string path = changed_checkpoint(file, [&](auto&, io::Metadata& metadata) {
      std::string& text = metadata["brume.train"];
      const size_t at = text.find(before);
      REQUIRE(at != std::string::npos);
      text.replace(at, std::string(before).size(), after);
    });
    Run run;
    const std::vector<float> numbers = run.numbers();
    CHECK_THROWS_AS(nn::load_checkpoint(path, run.state), FormatError);
    CHECK(run.numbers() == numbers);
    CHECK(run.state.step == 0);
  }
}

TEST_CASE("an optimizer takes a parameter's whole state and steps that can have been taken") {
  Run run, other;
  run.step();
  const nn::NamedTensors whole = run.optimizer.state();
  REQUIRE(whole[2].name.ends_with(".step"));
  const auto refuses = [&](const nn::NamedTensors& state) {
    CHECK_THROWS_AS(other.optimizer.load_state(state), FormatError);
  };
  for (size_t i = 0; i < 3; ++i) {
    nn::NamedTensors part = whole;
    part.erase(part.begin() + static_cast<std::ptrdiff_t>(i));
    refuses(part);
  }
  for (const Tensor& step :
       {scalar(-1, {.dtype = DType::i64}), scalar(1, {.dtype = DType::f32}),
        scalar(std::nan(""), {.dtype = DType::f64}), from_vector<int64_t>({INT64_MAX}, {})}) {
    nn::NamedTensors state = whole;
    state[2].tensor = step;
    refuses(state);
  }
  other.optimizer.load_state(whole);
  CHECK(other.optimizer.state()[2].tensor.item() == 1);

  nn::Sgd plain(run.model->parameters());  // has no slots
  plain.step();
  nn::Sgd momentum(run.model->parameters(), {.lr = 0.1, .momentum = 0.9});
  CHECK_THROWS_AS(momentum.load_state(plain.state()), FormatError);
  plain.load_state(plain.state());

  nn::Adam amsgrad(run.model->parameters(), {.amsgrad = true});
  CHECK_THROWS_AS(amsgrad.load_state(whole), FormatError);
}

TEST_CASE("a resumed log drops the rows of steps that are done again") {
  const std::string folder = fresh_folder("run_log");
  io::make_folders(folder);
  {
    nn::RunLog log(folder);
    for (int step : {10, 20, 30}) log.append(step, {{"loss", step / 100.0}, {"lr", 0.1}});
  }
  { nn::RunLog log(folder, 20); }
  const auto rows = nn::read_log(folder + "/log.jsonl");
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].step == 20);
  CHECK(rows[1].values[0] == std::pair<std::string, double>("loss", 0.2));
  CHECK(io::read_file(folder + "/log.csv", 1000) == "step,loss,lr\n10,0.1,0.1\n20,0.2,0.1\n");
}

TEST_CASE("a checkpoint with a tensor that nothing would take is refused") {
  const test::TemporaryFile file("left_over.safetensors");
  for (const char* name : {"ema.extra", "extra", "optimizer.state.extra.step", "model.extra"}) {
    Run run;
    const std::vector<float> before = run.numbers();
    const std::string path = changed_checkpoint(
        file, [&](auto& tensors, auto&) { tensors.emplace_back(name, zeros({2})); });
    const std::string text = error_of([&] { nn::load_checkpoint(path, run.state); });
    CHECK(text.find("extra") != text.npos);
    CHECK(run.numbers() == before);
  }
}

TEST_CASE("a damaged row of a log is named with its line and a way on") {
  const std::string folder = fresh_folder("run_log_damaged"), path = folder + "/log.jsonl";
  io::make_folders(folder);
  for (const char* damaged : {"{\"step\": 2", "[2]", "{\"step\": 2.5}"}) {
    std::ofstream(path) << "{\"step\": 1}\n{\"step\": 2}\n" << damaged << "\n{\"step\": 3}\n";
    for (const std::string& text :
         {error_of([&] { nn::RunLog(folder, 3); }), error_of([&] { nn::read_log(path); })}) {
      CHECK(text.find("'run_log_damaged/log.jsonl', line 3: ") == 0);
      CHECK(text.find("delete this line") != text.npos);
    }
  }
}

TEST_CASE("rates and decays that are no numbers, and groups that are not there, are refused") {
  Run run;
  const nn::NamedTensors parameters = run.model->parameters();
  for (const double value : {-1.0, HUGE_VAL, std::nan("")}) {
    CHECK_THROWS_AS(nn::Adam(parameters, {.lr = value}), ShapeError);
    CHECK_THROWS_AS(nn::Adam(parameters, {.eps = value}), ShapeError);
    CHECK_THROWS_AS(nn::AdamW(parameters, {.weight_decay = value}), ShapeError);
    CHECK_THROWS_AS(nn::Sgd(parameters, {.lr = value}), ShapeError);
    CHECK_THROWS_AS(nn::Sgd(parameters, {.momentum = value}), ShapeError);
    CHECK_THROWS_AS(nn::Sgd(parameters, {.weight_decay = value}), ShapeError);
    CHECK_THROWS_AS(run.optimizer.set_lr(value), ShapeError);
    CHECK_THROWS_AS(run.optimizer.set_lr(0, value), ShapeError);
  }
  CHECK_THROWS_AS(nn::Sgd(parameters, {.dampening = std::nan("")}), ShapeError);
  CHECK(error_of([&] { run.optimizer.set_lr(5, 0.1); }) ==
        "optimizer: there is no group 5; it has 1");
  CHECK_THROWS_AS(run.optimizer.lr(1), Error);
  CHECK(run.optimizer.lr() == 0.01);
}

TEST_CASE("one tensor under two names would be stepped twice, and is refused") {
  const Tensor w = ones({2});
  CHECK(error_of([&] {
          nn::Sgd({{"a", w}, {"b", w}}, {.lr = 1});
        }) == "optimizer: 'a' and 'b' are one tensor, which would be stepped twice; give it once");
  nn::Sgd once({{"a", w}}, {.lr = 1});
  CHECK_THROWS_AS(once.add_group({{"b", w}}, {.lr = 1}), Error);
}

TEST_CASE("a norm that is no number is never a step left out in silence") {
  const Tensor a = ones({1}, {.dtype = DType::f64}), b = ones({1}, {.dtype = DType::f64});
  nn::Sgd optimizer({{"a", a}, {"b", b}}, {.lr = 1});
  for (const Tensor& x : {a, b}) set_grad(x, full({1}, 1.2e154, {.dtype = DType::f64}));
  CHECK(error_of([&] { optimizer.step(); }).find("sum of all gradients' squares") !=
        std::string::npos);
  set_grad(b, full({1}, 1e160, {.dtype = DType::f64}));
  CHECK(error_of([&] { optimizer.step(); }).find("'b', or the sum of its squares") !=
        std::string::npos);
  CHECK(std::isinf(optimizer.step({.skip_nonfinite = true})));
  CHECK(a.item() == 1);
}

TEST_CASE("a loader of no data says so") {
  CHECK_THROWS_AS(nn::Loader(nullptr, {}), Error);
  const auto none = std::make_shared<nn::ArrayDataset>(zeros({0, 4}));
  CHECK_THROWS_AS(nn::Loader(none, {}), ShapeError);
}

TEST_CASE("event files carry the standard's checksum") {
  CHECK(nn::crc32c("123456789") == 0xe3069283U);  // RFC 3720
}

TEST_CASE("a stream of batches is a function of seed and number, over all passes") {
  nn::Loader loader(Run::data(), {.batch_size = 5, .seed = 3});
  std::vector<std::vector<float>> batches;
  for (int i = 0; i < 9; ++i) batches.push_back(loader.next().x.to_vector<float>());
  loader.seek(6);
  CHECK(loader.cursor() == 6);
  CHECK(loader.next().x.to_vector<float>() == batches[6]);
  CHECK_THROWS_AS(loader.seek(int64_t{1} << 62), Error);
  CHECK_THROWS_AS(nn::Loader(Run::data(), {.batch_size = int64_t{1} << 40}), Error);
  nn::Loader other(Run::data(), {.batch_size = 5, .seed = 4});
  CHECK(other.next().x.to_vector<float>() != batches[0]);
}

TEST_CASE("a split takes every n-th sample away and keeps the others") {
  const auto all = std::make_shared<nn::ArrayDataset>(arange(0, 11));
  const nn::Split others(all, 5, nn::Split::Part::others), every(all, 5, nn::Split::Part::every);
  CHECK(nn::all_of(every).x.to_vector<float>() == std::vector<float>{4, 9});
  CHECK(others.size() == 9);
}

TEST_CASE("bytes stay bytes in memory and are widened batch by batch to the bits of floats") {
  const Tensor bytes = convert(arange(0, 256), DType::u8);
  const nn::ArrayDataset narrow(bytes, {}, 1 / 127.5, -1);
  const nn::ArrayDataset wide(convert(bytes, DType::f32), {}, 1 / 127.5, -1);
  CHECK(nn::all_of(narrow).x.to_vector<float>() == nn::all_of(wide).x.to_vector<float>());
}

TEST_CASE("progress reads the same everywhere") {
  CHECK(nn::progress_line({.step = 500,
                           .steps = 2000,
                           .loss = 0.123456,
                           .images_per_second = 1202.6,
                           .seconds_left = 83}) ==
        "step 500/2000  loss 0.1235  1203 images/s  1:23 left");
  CHECK(nn::clock_text(3 * 3600 + 5 * 60 + 9) == "3:05:09");
  CHECK(nn::clock_text(-1) == "?");
}

TEST_CASE("what a killed process left half-written goes when the run is opened again") {
  fresh_folder("run_killed");
  { const nn::RunDirectory folder("run_killed"); }
  // No system counts its processes so far.
  const char* const left[] = {"run_killed/.brume-999999999-1.tmp",
                              "run_killed/checkpoints/.brume-999999999-2.tmp"};
  for (const char* name : left) std::ofstream(name) << "half";
  const nn::RunDirectory folder("run_killed");
  for (const char* name : left) CHECK_FALSE(std::filesystem::exists(name));
}

TEST_CASE("opening a run leaves alone what others are still writing beside its files") {
  fresh_folder("run_shared");
  { const nn::RunDirectory folder("run_shared"); }
  io::AtomicFile samples("run_shared/samples.npy");
  samples.write("half");
  const nn::RunDirectory folder("run_shared");
  samples.commit();
  CHECK(std::filesystem::exists("run_shared/samples.npy"));
}

TEST_CASE("data that cannot be trained on are refused") {
  const Tensor x = arange(0, 6);
  CHECK_THROWS_AS(nn::ArrayDataset(log(x - 1)), ShapeError);  // NaN and -inf
  const auto labelled = [&](int64_t last) {
    return nn::ArrayDataset(x, from_vector<int64_t>({0, 1, 2, 3, 4, last}, {6}));
  };
  CHECK(labelled(5).classes() == 6);
  CHECK_THROWS_AS(labelled(-1), ShapeError);
  CHECK_THROWS_AS(labelled(1'000'000'000'000), ShapeError);
}
