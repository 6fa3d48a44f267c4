#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

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
    CHECK_THROWS_AS(nn::construct(name, R"({"no such argument": 1})"), FormatError);
  }
}
