#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <brume/core/io/atomic_file.h>
#include <brume/core/io/torch_pt.h>
#include <brume/core/io/zip.h>
#include <brume/core/json.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/model_file.h>
#include <brume/nn/models/dit.h>
#include <brume/nn/models/song_unet.h>
#include <brume/nn/reference_classes.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace brume;
using brume::test::TemporaryFile;

namespace {

const std::string kData = BRUME_SOURCE_DIR "/tests/conformance/data/";

struct GaugeConfig {
  double limit = 1;
  std::vector<double> marks{};
  nn::Ref<nn::Module> inner{};
  std::string unit = "K";
  static constexpr std::array kOverridable{"limit"};
  template <class V>
  void fields(V& v) {
    v("limit", limit);
    v("marks", marks);
    v("inner", inner);
    v("unit", unit);
  }
};

// A module with arguments of every kind that a file has trouble with.
struct Gauge : nn::Module {
  using Config = GaugeConfig;
  explicit Gauge(Config c) : config(std::move(c)) {
    weight = param("weight", {2}, nn::Init::normal(1));
    if (config.inner) child("held", config.inner);
  }
  Config config;
  Tensor weight;
};

nn::Ref<Gauge> gauge() {
  nn::register_class<Gauge>("Gauge");
  const double infinity = std::numeric_limits<double>::infinity();
  const auto linear = nn::make<nn::Linear>({.in_features = 2, .out_features = 3});
  const auto inner =
      nn::make<Gauge>({.limit = -infinity, .inner = linear, .unit = "Infinity \"NaN\""});
  return nn::make<Gauge>({.limit = infinity, .marks = {1, std::nan(""), 2}, .inner = inner});
}

std::vector<float> values(const nn::Module& module) {
  std::vector<float> out;
  for (const nn::NamedTensor& t : module.state())
    for (const float v : t.tensor.to_vector<float>()) out.push_back(v);
  return out;
}

std::string read(const io::ZipFile& zip, const char* name) {
  return zip.read_text(zip.at(name), 10000);
}

// A file with those JSON members and the state of a Linear of two inputs and one output.
std::string linear_file(const std::string& path, const std::string& arguments,
                        const std::string& metadata) {
  const std::vector<std::pair<std::string, Tensor>> state{{"weight", ones({1, 2})},
                                                          {"bias", zeros({1})}};
  const std::vector<io::ZipMember> members{
      {"model.pt", io::torch_bytes(state)}, {"args.json", arguments}, {"metadata.json", metadata}};
  io::write_file(path, io::zip_bytes(members));
  return error_of([&] { nn::load(path); });
}

const std::string kLinear =
    R"({"__name__": "Linear", "__module__": "brume", "__args__": {"in_features": 2, "out_features": 1}})";
bool contains(const std::string& text, const char* part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("a module goes through .mdlus and .safetensors unchanged, what it nests included") {
  if (!io::has_zip()) return;
  const auto saved = gauge();
  for (const char* name : {"brume_nn_gauge.mdlus", "brume_nn_gauge.safetensors"}) {
    const TemporaryFile file(name);
    nn::save(*saved, file.path, {{"note", "of mine"}});
    const auto loaded = nn::load<Gauge>(file.path);
    CHECK(loaded->config_json() == saved->config_json());
    CHECK(values(*loaded) == values(*saved));
    CHECK(loaded->config.inner.as<Gauge>()->config.unit == "Infinity \"NaN\"");
  }
}

TEST_CASE("a .mdlus has the members, placeholders and tokens of the reference") {
  if (!io::has_zip()) return;
  const TemporaryFile file("brume_nn_members.mdlus");
  nn::save(*gauge(), file.path, {{"note", "of mine"}});
  const io::ZipFile zip(std::make_shared<io::FileSource>(file.path));
  REQUIRE(zip.entries().size() == 3);
  CHECK(zip.entries()[0].name == "model.pt");
  const std::string arguments = read(zip, "args.json"), metadata = read(zip, "metadata.json");
  CHECK(contains(arguments, R"("limit": Infinity, "marks": [1.0, NaN, 2.0])"));
  CHECK(contains(arguments, R"("inner": "__physicsnemo.Module__.inner")"));
  CHECK(contains(arguments, R"("__physicsnemo.Module__.inner.inner": {"__name__": "Linear")"));
  CHECK(contains(arguments, R"("limit": -Infinity)"));
  CHECK(contains(metadata, R"("mdlus_file_version": "0.1.0")"));
  CHECK(contains(metadata, R"("__physicsnemo.Module__.inner.inner.mdlus_file_version": "0.1.0")"));
  CHECK(contains(metadata, R"("note": "of mine")"));
}

TEST_CASE("a part that the reference has is written under the reference's module") {
  if (!io::has_zip()) return;
  const TemporaryFile file("brume_nn_part.mdlus");
  const nn::PatchEmbed2DTokenizerConfig tokens{
      .input_size = 8, .patch_size = 4, .in_channels = 1, .hidden_size = 8};
  nn::DiTConfig config{.input_size = 8, .in_channels = 1, .patch_size = 4, .hidden_size = 8};
  config.depth = 1;
  config.tokenizer = nn::Ref<nn::Module>(nn::make<nn::PatchEmbed2DTokenizer>(tokens));
  nn::save(*nn::make<nn::DiT>(config), file.path);
  CHECK(contains(
      read(io::ZipFile(std::make_shared<io::FileSource>(file.path)), "args.json"),
      R"({"__name__": "PatchEmbed2DTokenizer", "__module__": "physicsnemo.nn.module.dit_layers")"));
}

TEST_CASE("a file keeps the Python modules and versions of somebody's own classes") {
  if (!io::has_zip()) return;
  const TemporaryFile file("brume_nn_theirs.mdlus"), between("brume_nn_theirs.safetensors"),
      again("brume_nn_theirs_again.mdlus");
  linear_file(
      file.path,
      R"({"__name__": "DiT", "__module__": "mypkg.nets", "__args__": {"inner": "__physicsnemo.Module__.inner"},)"
      R"( "__physicsnemo.Module__.inner": {"__name__": "UNet", "__module__": "mypkg", "__args__": {"n": 4}}})",
      R"({"mdlus_file_version": "1.2.0", "__physicsnemo.Module__.inner.mdlus_file_version": "7.0.0"})");
  const auto copy = [](const std::string& from, const std::string& to) {
    const nn::ModelFile f = nn::open_model_file(from);
    nn::write_model_file(to, f.class_name, f.config, {}, f.notes);
  };
  copy(file.path, between.path);
  copy(between.path, again.path);
  const io::ZipFile zip(std::make_shared<io::FileSource>(again.path));
  const std::string arguments = read(zip, "args.json"), metadata = read(zip, "metadata.json");
  CHECK(contains(arguments, R"({"__name__": "DiT", "__module__": "mypkg.nets", "__args__")"));
  CHECK(
      contains(arguments, R"({"__name__": "UNet", "__module__": "mypkg", "__args__": {"n": 4}})"));
  CHECK(contains(metadata, R"("mdlus_file_version": "1.2.0")"));
  CHECK(contains(metadata, R"("__physicsnemo.Module__.inner.mdlus_file_version": "7.0.0")"));
  CHECK(!contains(metadata, "mypkg"));
}

TEST_CASE("a .pt holds the state alone, and any file's state loads into a module") {
  if (!io::has_zip()) return;
  const auto saved = gauge();
  for (const char* name : {"brume_nn_state.pt", "brume_nn_state.mdlus"}) {
    const TemporaryFile file(name);
    nn::save(*saved, file.path);
    const auto target = gauge();
    CHECK(values(*target) != values(*saved));
    nn::load_state(*target, file.path);
    CHECK(values(*target) == values(*saved));
  }
  const TemporaryFile file("brume_nn_bare.pt");
  nn::save(*saved, file.path);
  CHECK(contains(error_of([&] { nn::load(file.path); }), "use load_state"));
}

TEST_CASE("the format shows in the content, not in the name") {
  if (!io::has_zip()) return;
  const TemporaryFile file("brume_nn_format.mdlus"), renamed("brume_nn_format.safetensors");
  const auto saved = gauge();
  nn::save(*saved, file.path);
  std::filesystem::copy_file(file.path, renamed.path,
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(values(*nn::load(renamed.path)) == values(*saved));
  io::write_file(renamed.path, "what is this?");
  CHECK(contains(error_of([&] { nn::load(renamed.path); }), "neither safetensors nor .mdlus"));
}

TEST_CASE("a safetensors file is one whatever the length in its first bytes looks like") {
  const TemporaryFile file("brume_nn_length.safetensors");
  const auto linear = nn::make<nn::Linear>({.in_features = 2, .out_features = 1});
  for (const std::string beginning : {"\x80", "PK"}) {
    std::string bytes;
    for (size_t note = 0; !bytes.starts_with(beginning); note += 8) {
      REQUIRE(note < 1 << 16);
      nn::save(*linear, file.path, {{"note", std::string(note, 'x')}});
      bytes = io::read_file(file.path, 1 << 17);
    }
    CHECK(nn::load(file.path)->class_name() == "Linear");
  }
}

TEST_CASE("files of the reference rebuild their modules") {
  if (!io::has_zip()) return;
  const auto net = nn::load<nn::SongUNet>(kData + "checkpoint/files/songunet.mdlus");
  CHECK(net->config().label_dim == 3);
  const auto tar = nn::load(kData + "checkpoint/files/mlp_legacy_tar.mdlus");
  CHECK(tar->class_name() == "FullyConnected");
  CHECK(contains(error_of([] { nn::load<nn::Linear>(kData + "checkpoint/files/songunet.mdlus"); }),
                 "holds a SongUNet, which is not the class asked for"));
}

TEST_CASE("arguments are replaced where the class allows it") {
  if (!io::has_zip()) return;
  const std::string song = kData + "checkpoint/files/songunet_override.mdlus";
  CHECK(nn::load<nn::SongUNet>(song, {.override_args = R"({"act": "relu"})"})->config().act ==
        "relu");
  const auto refuse = [](const std::string& path, const char* changes) {
    return error_of([&] { nn::load(path, {.override_args = changes}); });
  };
  CHECK(contains(refuse(song, R"({"dropout": 0.5})"), "'dropout' of SongUNet cannot be replaced"));
  CHECK(contains(refuse(song, R"({"net.act": "relu"})"), "'net.act' leads to no module"));
  CHECK(contains(refuse(song, "[1]"), "wants an object"));
  const TemporaryFile file("brume_nn_override.mdlus");
  const auto saved = gauge();
  nn::save(*saved, file.path);
  const auto loaded =
      nn::load<Gauge>(file.path, {.override_args = R"({"limit": 2, "inner.limit": 3})"});
  CHECK(loaded->config.limit == 2);
  CHECK(loaded->config.inner.as<Gauge>()->config.limit == 3);
  CHECK(values(*loaded) == values(*saved));
  CHECK(contains(refuse(file.path, R"({"inner.unit": "m"})"), "'inner.unit' of Gauge"));
}

TEST_CASE("a .mdlus that is not as the reference writes it is refused") {
  if (!io::has_zip()) return;
  const TemporaryFile file("brume_nn_refused.mdlus");
  const auto refuse = [&](const std::string& arguments, const std::string& metadata = "{}") {
    return linear_file(file.path, arguments, metadata);
  };
  CHECK(refuse(kLinear).empty());
  CHECK(refuse(kLinear, R"({"mdlus_file_version": "0.1.0", "physicsnemo_version": null})").empty());
  CHECK(contains(refuse(kLinear, R"({"mdlus_file_version": "9.0.0"})"),
                 "version '9.0.0' of the class Linear is not read; today's is 0.1.0"));
  CHECK(contains(refuse("{}"), "the text '__name__' is missing"));
  CHECK(contains(refuse("[]"), "args.json: wanted an object"));
  CHECK(contains(refuse(R"({"__name__": "Linear", "__module__": "m"})"), "has no __args__"));
  CHECK(contains(refuse(R"({"__name__": "Linaer", "__module__": "m", "__args__": {}})"),
                 "did you mean 'Linear'?"));
  CHECK(contains(
      refuse(
          R"({"__name__": "Linear", "__module__": "brume", "__args__": {"in_features": 2, "out_features": 1, "bais": true}})"),
      "did you mean 'bias'?"));
  for (const char* placeholder :
       {"__physicsnemo.Module__.other", "__physicsnemo.Module__",
        "__physicsnemo.Module__.inner.inner", "__physicsnemo.Module__.inner"})
    CHECK(contains(refuse(cat(R"({"__name__": "Gauge", "__module__": "m", "__args__": {"inner": ")",
                              placeholder, R"("}})")),
                   "the argument 'inner' is the module"));
}

TEST_CASE("older versions of a class are read") {
  Json arguments =
      parse_json(R"({"img_channels": 1, "timestep_embed_kwargs": {}, "a": 2})", "test");
  const auto unet = nn::reference_class("UNet", "modulus.models.diffusion.unet");
  CHECK(unet.name == "CorrDiffRegressionUNet");
  nn::update_arguments(unet, "0.1.0", "test", arguments);
  CHECK(dump_json(arguments) == R"({"timestep_embed_kwargs":{},"a":2})");
  nn::update_arguments(nn::reference_class("DiT"), "0.1.0", "test", arguments);
  CHECK(dump_json(arguments) == R"({"a":2,"conditioning_embedder_kwargs":{}})");
  CHECK(nn::reference_class("UNet", "physicsnemo.models.unet.unet").name == "UNet3D");
}

TEST_CASE("a .mdlus with a byte flipped or cut off loads or raises") {
  if (!io::has_zip()) return;
  const TemporaryFile file("brume_nn_mutated.mdlus");
  linear_file(file.path, kLinear, "{}");
  const std::string whole = io::read_file(file.path, 100000);
  int loaded = 0, raised = 0;
  const auto attempt = [&](const std::string& bytes) {
    io::write_file(file.path, bytes);
    ++(error_of([&] { nn::load(file.path); }).empty() ? loaded : raised);
  };
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
    attempt(bytes);
    attempt(whole.substr(0, i));
  }
  CHECK(raised > 100);
  CHECK(loaded > 0);
}
