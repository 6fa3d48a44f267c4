#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <vector>

#include <brume/autograd/node.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/safetensors.h>
#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/unet_block.h>
#include <brume/nn/serialize.h>

#include "tests/temporary_folder.h"

using namespace brume;
using brume::test::TemporaryFile;

namespace {

std::vector<float> values(const nn::Module& module) {
  std::vector<float> out;
  for (const nn::NamedTensor& t : module.state())
    for (const float v : t.tensor.to_vector<float>()) out.push_back(v);
  return out;
}

nn::Ref<nn::UNetBlock> block() {
  return nn::make<nn::UNetBlock>({.in_channels = 4,
                                  .out_channels = 8,
                                  .emb_channels = 6,
                                  .down = true,
                                  .attention = true,
                                  .num_heads = 2,
                                  .init_zero = {}});
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const FormatError& e) {
    return e.what();
  }
  return "";
}

// The state of `module` with one key's beginning replaced.
nn::NamedTensors renamed(const nn::Module& module, const std::string& before,
                         const std::string& after) {
  nn::NamedTensors state = module.state();
  for (nn::NamedTensor& t : state)
    if (t.name.compare(0, before.size(), before) == 0)
      t.name = after + t.name.substr(before.size());
  return state;
}

}  // namespace

TEST_CASE("a file alone rebuilds the module") {
  const TemporaryFile file("brume_nn_rebuild.safetensors");
  const auto saved = block();
  nn::save(*saved, file.path);
  const auto loaded = nn::load<nn::UNetBlock>(file.path);
  CHECK(values(*loaded) == values(*saved));
  CHECK(loaded->config_json() == saved->config_json());
  CHECK(loaded->training());
  for (const nn::NamedTensor& p : loaded->parameters()) CHECK(requires_grad(p.tensor));
  CHECK_THROWS_WITH_AS(nn::load<nn::Linear>(file.path),
                       doctest::Contains("holds a UNetBlock, which is not the class asked for"),
                       FormatError);
}

TEST_CASE(
    "a resample filter that is not that of the arguments is noticed, in 16 bits it is the same") {
  const auto filtered = [](std::vector<double> taps) {
    return nn::make<nn::Conv2d>({.in_channels = 1,
                                 .out_channels = 1,
                                 .kernel = 0,
                                 .down = true,
                                 .resample_filter = std::move(taps)});
  };
  const auto conv = filtered({1, 1});
  CHECK_THROWS_WITH_AS(nn::load_state(*conv, filtered({1, 2})->state()),
                       doctest::Contains("resample_filter is [[[[0.11111111, 0.22222222]"),
                       FormatError);
  // Nearly the same taps are as far from ours as bf16 rounds, but in f32 they are others.
  CHECK_THROWS_AS(nn::load_state(*conv, filtered({1, 1.001})->state()), FormatError);
  nn::NamedTensors damaged = conv->state();
  for (nn::NamedTensor& t : damaged)
    if (t.name == "resample_filter") t.tensor = full(t.tensor.shape(), std::nan(""));
  CHECK_THROWS_AS(nn::load_state(*conv, damaged), FormatError);
  nn::load_state(*conv, filtered({1, 1 + 1e-8})->state());  // what another order of sums may give
  for (const DType narrow : {DType::bf16, DType::f16}) {
    const auto rounded = filtered({1, 2});
    rounded->to(narrow);
    nn::load_state(*filtered({1, 2}), rounded->state());
    const TemporaryFile file("brume_nn_rounded.safetensors");
    nn::save(*rounded, file.path);
    nn::load<nn::Conv2d>(file.path);  // into f32
  }
}

TEST_CASE("a file without a class says what to do, and one of another kind is refused") {
  const TemporaryFile file("brume_nn_bare.safetensors");
  const std::vector<std::pair<std::string, Tensor>> one{{"a", zeros({2})}};
  io::save_safetensors(file.path, one);
  CHECK(error_of([&] { nn::load(file.path); }).find("use load_state") != std::string::npos);
  io::save_safetensors(file.path, one, {{"brume.class", "Linear"}, {"brume.config", "{"}});
  CHECK_THROWS_AS(nn::load(file.path), FormatError);
  io::save_safetensors(file.path, one, {{"brume.class", "Linear"}, {"brume.config", "{}"}});
  CHECK_THROWS_AS(nn::load(file.path), FormatError);
  CHECK_THROWS_AS(nn::save(*block(), "block.txt"), Error);
}

TEST_CASE("a file whose class would be larger than any machine is refused") {
  const TemporaryFile file("brume_nn_huge.safetensors");
  const std::vector<std::pair<std::string, Tensor>> none;
  const char* config = R"({"in_features": 200000, "out_features": 200000})";  // 160 GB
  io::save_safetensors(file.path, none, {{"brume.class", "Linear"}, {"brume.config", config}});
  CHECK(error_of([&] { nn::load(file.path); }).find("missing: weight, bias") != std::string::npos);
}

TEST_CASE("everything that does not fit is listed at once, and nothing is changed") {
  const auto target = block();
  const std::vector<float> before = values(*target);
  nn::NamedTensors state = block()->state();
  state.erase(state.begin());  // norm0.weight
  state.push_back({"norm9.weight", zeros({1})});
  for (nn::NamedTensor& t : state)
    if (t.name == "affine.bias") t.tensor = zeros({3});
  const std::string text = error_of([&] { nn::load_state(*target, state); });
  CHECK(text ==
        "load_state: does not fit UNetBlock\n  missing: norm0.weight\n  unexpected: norm9.weight\n"
        "  other shape: affine.bias is [3], but the module has [16]");
  CHECK(values(*target) == before);
  // Of many keys the first three are said.
  const std::string many = error_of([&] { nn::load_state(*target, nn::NamedTensors{}); });
  CHECK(many.ends_with(cat(" and ", target->state().size() - 3, " more")));
  CHECK(std::count(many.begin(), many.end(), ',') == 2);
  // Loosely, keys may be missing or left over, but shapes must still fit.
  CHECK(error_of([&] { nn::load_state(*target, state, nn::Strictness::loose); }) ==
        "load_state: does not fit UNetBlock\n  other shape: affine.bias is [3], but the module has "
        "[16]");
  CHECK(values(*target) == before);
}

TEST_CASE("a loose load reports what was missing and left over") {
  const auto target = block(), source = block();
  const nn::KeyReport report = nn::load_state(
      *target, renamed(*source, "norm0.weight", "norm9.weight"), nn::Strictness::loose);
  CHECK(report.missing == std::vector<std::string>{"norm0.weight"});
  CHECK(report.unexpected == std::vector<std::string>{"norm9.weight"});
  CHECK(values(*target) == values(*source));  // norms all start from ones
}

TEST_CASE("a file that breaks off while it is read changes nothing") {
  const TemporaryFile file("brume_nn_broken.safetensors");
  nn::save(*block(), file.path);
  const auto target = block();
  const std::vector<float> before = values(*target);
  std::atomic<int> reads = 0;
  static std::atomic<int>* reads_left;
  static decltype(io::system_calls().read) real_read;
  reads_left = &reads;
  real_read = io::system_calls().read;
  io::system_calls().read = [](int handle, void* data, size_t bytes, int64_t offset) -> int64_t {
    if (--*reads_left < 0) return errno = EIO, -1;
    return real_read(handle, data, bytes, offset);
  };
  int failures = 0;
  for (int allowed = 0; allowed < 12; ++allowed) {
    reads = allowed;
    try {
      nn::load_state(*target, file.path);
    } catch (const IoError&) {
      ++failures;
      CHECK(values(*target) == before);
    }
  }
  io::system_calls().read = real_read;
  CHECK(failures == 12);
}

TEST_CASE("values are converted to the module's dtype and copied into its memory") {
  const auto target = block(), source = block();
  const Tensor weight = target->state()[0].tensor;
  const void* memory = weight.data();
  source->to(DType::f64);
  nn::load_state(*target, source->state());
  CHECK(weight.dtype() == DType::f32);
  CHECK(weight.data() == memory);
  CHECK(values(*target) == values(*source));
}

TEST_CASE("older names of a UNetBlock's attention are understood") {
  const auto target = block(), source = block();
  nn::load_state(*target, renamed(*source, "attn.qkv.", "qkv."));
  CHECK(values(*target) == values(*source));
  nn::load_state(*target, renamed(*source, "attn.norm.", "norm2."));
  nn::NamedTensors both = source->state();
  both.push_back({"qkv.weight", zeros({24, 8, 1, 1})});
  CHECK(error_of([&] { nn::load_state(*target, both); }).find("'attn.qkv.weight' is there twice") !=
        std::string::npos);
}

TEST_CASE("embedding frequencies may be missing, and keys of device tracking are ignored") {
  const auto target = nn::make<nn::PositionalEmbedding>({.num_channels = 8});
  const auto before = values(*target);
  CHECK_NOTHROW(nn::load_state(*target, {{"device_buffer", zeros({0})}}));
  CHECK(values(*target) == before);
}
