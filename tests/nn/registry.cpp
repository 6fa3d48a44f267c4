#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include <brume/core/io/zip.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace brume;

namespace {

struct OwnConfig {
  nn::Ref<nn::Module> inner;
  template <class V>
  void fields(V& v) {
    v("inner", inner);
  }
};
struct OwnInner : nn::Module {
  using Config = OwnConfig;
  explicit OwnInner(const Config&) {}
};
struct OwnOuter : nn::Module {
  using Config = OwnConfig;
  explicit OwnOuter(const Config& c) { child("inner", c.inner); }
};

}  // namespace

TEST_CASE("what no program could load is not saved: each class in a file is registered") {
  const test::TemporaryFile file("own.safetensors"), state("own.pt");
  const auto outer = nn::make<OwnOuter>({.inner = nn::make<OwnInner>({.inner = {}})});
  const auto refusal = [&] { return error_of([&] { nn::save(*outer, file.path); }); };
  CHECK(refusal().find("nn::register_class<OwnOuter>(\"OwnOuter\")") != std::string::npos);
  nn::register_class<OwnOuter>("OwnOuter");
  CHECK(refusal().find("nn::register_class<OwnInner>(\"OwnInner\")") != std::string::npos);
  CHECK(!std::filesystem::exists(file.path));
  if (io::has_zip()) nn::save(*outer, state.path);  // the state alone names no class
  nn::register_class<OwnInner>("OwnInner");
  nn::save(*outer, file.path);
  CHECK(nn::load(file.path)->class_name() == "OwnOuter");
}

TEST_CASE("every class of the library has its place in the manual of backbones") {
  std::ifstream file(BRUME_SOURCE_DIR "/docs/backbones.md");
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(!manual.empty());
  for (const nn::RegisteredClass& c : nn::builtin_classes()) {
    CAPTURE(c.name);
    CHECK(manual.find("`" + c.name + "`") != std::string::npos);
  }
}

TEST_CASE("the classes of the manual's first table are made by name, and only by their arguments") {
  // By what the smallest of each needs.
  const std::pair<const char*, const char*> classes[] = {
      {"SongUNet", R"({"img_resolution": 8, "in_channels": 1, "out_channels": 1,
                       "model_channels": 4, "channel_mult": [1], "num_blocks": 1})"},
      {"SongUNetPosEmbd", R"({"img_resolution": 8, "in_channels": 5, "out_channels": 1,
                              "model_channels": 4, "channel_mult": [1], "num_blocks": 1})"},
      {"SongUNetPosLtEmbd", R"({"img_resolution": 8, "in_channels": 6, "out_channels": 1,
                                "lead_time_channels": 1, "model_channels": 4,
                                "channel_mult": [1], "num_blocks": 1})"},
      {"DhariwalUNet", R"({"img_resolution": 8, "in_channels": 1, "out_channels": 1,
                           "model_channels": 64, "channel_mult": [1], "num_blocks": 1})"},
      {"CorrDiffRegressionUNet", R"({"img_resolution": 8, "img_in_channels": 1,
                                     "img_out_channels": 1, "model_type": "SongUNet",
                                     "model_channels": 4, "channel_mult": [1],
                                     "num_blocks": 1})"},
      {"StormCastUNet", R"({"img_resolution": 8, "img_in_channels": 1, "img_out_channels": 1,
                            "model_channels": 4, "channel_mult": [1], "num_blocks": 1})"},
      {"DiffusionUNet3D", R"({"x_channels": 1, "num_levels": 1, "model_channels": 4,
                              "channel_mult": [1], "num_blocks": 1})"},
      {"UNet3D", R"({"in_channels": 1, "out_channels": 1, "model_depth": 1,
                     "feature_map_channels": [2, 2]})"},
      {"DiT", R"({"input_size": 8, "in_channels": 1, "hidden_size": 8, "depth": 1})"},
      {"FNO", R"({"in_channels": 1, "out_channels": 1, "latent_channels": 2,
                  "num_fno_modes": 2})"},
      {"AFNO", R"({"inp_shape": [16, 16], "in_channels": 1, "out_channels": 1,
                   "embed_dim": 16, "depth": 1})"},
      {"ModAFNO", R"({"inp_shape": [4, 4], "in_channels": 1, "out_channels": 1, "embed_dim": 4,
                      "depth": 1})"},
      {"MeshGraphNet", R"({"input_dim_nodes": 1, "input_dim_edges": 1, "output_dim": 1,
                           "processor_size": 1})"},
      {"Transolver", R"({"functional_dim": 1, "out_dim": 1, "embedding_dim": 1, "n_layers": 1,
                         "n_hidden": 8, "use_te": false})"},
      {"FullyConnected", "{}"},
      {"Pix2Pix", R"({"in_channels": 1, "out_channels": 1, "dimension": 1,
                      "conv_layer_size": 2})"},
      {"SRResNet", R"({"in_channels": 1, "out_channels": 1, "conv_layer_size": 2})"}};
  std::ifstream file(BRUME_SOURCE_DIR "/docs/backbones.md");
  std::string named;  // by the first column of the first table
  for (std::string line;
       std::getline(file, line) && line != "What they are made of, each a class by name too:";)
    if (line.starts_with("| `")) named += line.substr(0, line.find(" | ", 1));
  size_t mentioned = 0;
  for (size_t at = 0; (at = named.find('`', at)) != named.npos; ++at) ++mentioned;
  CHECK(mentioned == 2 * std::size(classes));
  for (const auto& [name, arguments] : classes) {
    CAPTURE(name);
    CHECK(named.find(cat("`", name, "`")) != named.npos);
    const nn::Ref<nn::Module> module = nn::construct(name, arguments);
    CHECK(module->class_name() == name);
    CHECK(module->parameter_count() > 0);
    nlohmann::json with_another = nlohmann::json::parse(arguments);
    with_another["no such argument"] = 1;
    CHECK(error_of([&] {
            nn::construct(name, with_another.dump());
          }).find("unknown argument 'no such argument'") != std::string::npos);
  }
}

TEST_CASE("a name that several classes contain is answered with all of them") {
  const std::string text = error_of([] { nn::construct("UNet", "{}"); });
  for (const char* name : {"'CorrDiffRegressionUNet'", "'SongUNet'", "'DhariwalUNet'", "'UNet3D'"})
    CHECK(text.find(name) != std::string::npos);
}

TEST_CASE("arguments that steer the reference's runtime are kept and written again") {
  const std::pair<const char*, const char*> classes[] = {
      {"SongUNet", R"({"img_resolution": 8, "in_channels": 1, "out_channels": 1,
                       "model_channels": 4, "channel_mult": [1], "num_blocks": 1,
                       "amp_mode": true, "profile_mode": false})"},
      {"StormCastUNet", R"({"img_resolution": 8, "img_in_channels": 1, "img_out_channels": 1,
                            "model_channels": 4, "channel_mult": [1], "num_blocks": 1,
                            "use_fp16": true})"},
      {"MeshGraphNet", R"({"input_dim_nodes": 1, "input_dim_edges": 1, "output_dim": 1,
                           "processor_size": 1, "checkpoint_offloading": true})"}};
  for (const auto& [name, arguments] : classes) {
    CAPTURE(name);
    const auto asked = nlohmann::json::parse(arguments);
    const auto written =
        nlohmann::json::parse(nn::clone(nn::construct(name, arguments))->config_json());
    for (const auto& argument : asked.items())
      CHECK(written.value(argument.key(), nlohmann::json()) == argument.value());
  }
}

TEST_CASE("more modules than a model may have are refused before they cost time") {
  const std::clock_t begin = std::clock();
  CHECK(error_of([] {
          nn::construct("SRResNet", R"({"in_channels": 1, "out_channels": 1,
                                        "n_resid_blocks": 1000000000})");
        }).find("more than 100000 modules") != std::string::npos);
  CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 10);  // 46 by comparing names
}

TEST_CASE("a class's arguments have the reference's defaults") {
  std::ifstream file(BRUME_SOURCE_DIR "/tests/nn/data/reference_defaults.json");
  const auto reference = nlohmann::json::parse(file);
  // Another library's kernels, which are not here; the identity, which is none there.
  const std::vector<std::string> known_differences = {"Transolver.use_te",
                                                      "DGMLayer.activation_fn"};
  size_t compared = 0;
  for (const nn::RegisteredClass& c : nn::builtin_classes()) {
    if (!reference.contains(c.name)) continue;
    const nn::Construction shapes(nn::Construction::Mode::shapes_only);
    // The arguments are seen before the constructor, which may refuse them.
    const auto ours = nlohmann::json::parse(
        nn::write_config([&](nn::Fields& v) { error_of([&] { c.construct(v); }); }));
    for (const auto& argument : reference[c.name].items()) {
      if (!ours.contains(argument.key())) continue;
      const std::string which = cat(c.name, ".", argument.key());
      CAPTURE(which);
      ++compared;
      if (std::count(known_differences.begin(), known_differences.end(), which) > 0) continue;
      const nlohmann::json& value = ours[argument.key()];
      if (argument.value().is_object())  // keywords: those that are not said are the part's own
        for (const auto& keyword : argument.value().items())
          CHECK(value.value(keyword.key(), nlohmann::json()) == keyword.value());
      else
        CHECK(value == argument.value());
    }
  }
  CHECK(compared > 200);
}
