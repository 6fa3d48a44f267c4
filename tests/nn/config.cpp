#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <brume/nn/layers/embedding.h>
#include <brume/nn/layers/unet_block.h>
#include <brume/nn/models/song_unet.h>
#include <brume/nn/nearest.h>
#include <brume/nn/registry.h>

#include "tests/error_of.h"

using namespace brume;

namespace {

struct EverythingConfig {
  bool flag = true;
  int64_t count = 3;
  double rate = 0.0002;
  std::string name = "a \"quoted\" name";
  nn::InitMode mode = nn::InitMode::xavier_normal;
  std::optional<double> maybe{};
  std::vector<int64_t> list = {1, 2};
  nn::OneOrMany<int64_t> size = 8;
  nn::InitConfig init{};
  nn::Ref<nn::Module> model{};
  template <class V>
  void fields(V& v) {
    v("flag", flag);
    v("count", count);
    v("rate", rate);
    v("name", name);
    v("mode", mode);
    v("maybe", maybe);
    v("list", list);
    v("size", size);
    v("init", init);
    v("model", model);
  }
};

struct EndlessConfig {
  nn::Ref<nn::Module> model{};
  template <class V>
  void fields(V& v) {
    v("model", model);
  }
};
struct Endless : nn::Module {
  using Config = EndlessConfig;
  explicit Endless(const Config& c) {
    if (c.model) child("model", c.model);
  }
};

const char* kEverything =
    R"({"flag":true,"count":3,"rate":0.0002,"name":"a \"quoted\" name","mode":"xavier_normal",)"
    R"("maybe":null,"list":[1,2],"size":8,"init":{"init_mode":"kaiming_normal","init_weight":1.0,)"
    R"("init_bias":0.0},"model":null})";

EverythingConfig read(const char* json) { return nn::config_from_json<EverythingConfig>(json); }

}  // namespace

TEST_CASE("a config is written with every field, in order, and numbers as they were typed") {
  CHECK(nn::config_to_json(EverythingConfig{}) == kEverything);
}

TEST_CASE("a config read back from its JSON is the same config") {
  EverythingConfig c;
  c.maybe = std::numeric_limits<double>::infinity();
  c.size = {3, 5};
  c.list.clear();
  c.rate = 0.1;
  c.model = nn::make<nn::Linear>({.in_features = 2, .out_features = 1});
  const EverythingConfig back = nn::config_from_json<EverythingConfig>(nn::config_to_json(c));
  CHECK(nn::same_config(c, back));
  CHECK(back.size.is_list());
  CHECK(*back.maybe == std::numeric_limits<double>::infinity());
  CHECK(back.model->class_name() == "Linear");
  CHECK_FALSE(nn::same_config(c, EverythingConfig{}));
}

TEST_CASE("two configs differ by the fields that differ, each with both values") {
  const std::string before = R"({"a": 1, "net": {"module": "A", "args": {"w": [1, 2], "b": 2}}})";
  const auto differences = [&](const char* after) {
    return to_string(nn::config_differences(before, after));
  };
  CHECK(differences(R"({"net": {"args": {"b": 2, "w": [1, 2]}, "module": "A"}, "a": 1})").empty());
  CHECK(differences(R"({"a": 1.5, "net": {"module": "A", "args": {"w": [1], "b": 2}}, "c": 3})") ==
        "'a' was 1, is 1.5; 'net.args.w' was [1,2], is [1]; 'c' was null, is 3");
  CHECK(differences(R"({"a": 1, "net": {"module": "B", "args": {"v": 7}}})") ==
        "'net.module' was \"A\", is \"B\"");
}

TEST_CASE("fields that JSON lacks keep their defaults") {
  CHECK(nn::same_config(read("{}"), EverythingConfig{}));
  CHECK(read(R"({"init":{"init_weight":0}})").init.init_weight == 0);
}

TEST_CASE("what does not fit a config is said with its place and what was wanted") {
  CHECK_THROWS_WITH_AS(read(R"({"cuont": 1})"),
                       "config: unknown argument 'cuont'; did you mean 'count'?", FormatError);
  CHECK_THROWS_WITH_AS(read(R"({"init": {"init_wieght": 1}})"),
                       "config: unknown argument 'init.init_wieght'; did you mean 'init_weight'?",
                       FormatError);
  CHECK_THROWS_WITH_AS(read(R"({"count": 1.5})"), "config: 'count' wants an integer, got 1.5",
                       FormatError);
  CHECK_THROWS_WITH_AS(read(R"({"count": 18446744073709551615})"),
                       "config: 'count' wants an integer up to 9223372036854775807, got "
                       "18446744073709551615",
                       FormatError);
  CHECK_THROWS_WITH_AS(read(R"({"flag": 1})"), "config: 'flag' wants true or false, got 1",
                       FormatError);
  CHECK_THROWS_WITH_AS(read(R"({"list": [1, "x"]})"),
                       "config: 'list[1]' wants an integer, got \"x\"", FormatError);
  CHECK_THROWS_WITH_AS(read(R"({"mode": "normal"})"),
                       "config: 'mode' wants one of xavier_uniform, xavier_normal, "
                       "kaiming_uniform, kaiming_normal, fan_in_uniform, got \"normal\"",
                       FormatError);
  CHECK_THROWS_WITH_AS(read(R"({"rate": [1]})"), "config: 'rate' wants a number, got array",
                       FormatError);
  CHECK_THROWS_WITH_AS(read("[]"), "config: wants an object, got array", FormatError);
  CHECK_THROWS_AS(read("{"), FormatError);
  CHECK_THROWS_WITH_AS(nn::config_from_json<nn::LinearConfig>(R"({"in_features": 2})", "Linear"),
                       "Linear: 'out_features' is missing", FormatError);
  CHECK_THROWS_WITH_AS(
      nn::config_from_json<nn::LinearConfig>(R"({"in_features": 2, "out_featuers": 2})", "Linear"),
      "Linear: unknown argument 'out_featuers'; did you mean 'out_features'?", FormatError);
}

TEST_CASE("arguments that steer the reference's runtime are accepted") {
  CHECK_NOTHROW(nn::config_from_json<nn::SongUNetConfig>(
      R"({"img_resolution": [8, 16], "in_channels": 1, "out_channels": 1, "profile_mode": false,
          "amp_mode": true, "use_apex_gn": true})"));
}

TEST_CASE("an unknown class is answered with the nearest, or how many are known") {
  try {
    nn::construct("SongUnet", "{}");
    FAIL("constructed");
  } catch (const FormatError& e) {
    const std::string text = e.what();
    CHECK(text.find("no class is registered as 'SongUnet'") != text.npos);
    CHECK(text.find("diffusion::load") != text.npos);  // whose classes nn does not know
    CHECK(text.find("diffusion::register_model") != text.npos);
    CHECK(text.ends_with("; did you mean 'SongUNet'?"));
  }
  const std::string far = error_of([] { nn::construct("Nothing_of_this_name", "{}"); });
  CHECK(far.ends_with(cat("; none of the ", nn::class_names().size(), " known names is like it")));
  const std::vector<std::string_view> solvers{"heun", "unipc"};
  CHECK(nn::suggestion("UniPC", solvers) == "; did you mean 'unipc'?");
  CHECK(nn::suggestion("x", solvers) == "; known are heun, unipc");
  CHECK_THROWS_AS(read(R"({"model": {"module": "Nothing", "args": {}}})"), FormatError);
  CHECK_THROWS_AS(read(R"({"model": "SongUNet"})"), FormatError);
}

TEST_CASE("a class is constructed from its name and its arguments") {
  const auto net =
      nn::construct("Linear", R"({"in_features": 3, "out_features": 2, "bias": false})");
  CHECK(net->class_name() == "Linear");
  CHECK(net->parameter_count() == 6);
  CHECK(nn::config_from_json<nn::LinearConfig>(net->config_json()).out_features == 2);
}

TEST_CASE("a program's own class can be registered, and a name stands for one class") {
  nn::register_class<Endless>("Endless");
  CHECK(nn::construct("Endless", "{}")->class_name() == "Endless");
  CHECK_NOTHROW(nn::register_class<Endless>("Endless"));
  CHECK_THROWS_AS(nn::register_class<nn::Linear>("Endless"), Error);
}

TEST_CASE("absurd sizes in a config are refused before memory is asked for") {
  const auto unet = [](const char* extra) {
    return nn::construct("SongUNet", cat(R"({"img_resolution": 16, "in_channels": 1, )",
                                         R"("out_channels": 1, )", extra, "}"));
  };
  // 10^12 parameters in 50 tensors that are each small enough to exist.
  CHECK_THROWS_AS(unet(R"("model_channels": 32768)"), ShapeError);
  for (const char* more : {"2147483649", "4611686018427387904", "-2147483649"})
    CHECK_THROWS_WITH_AS(
        unet(cat(R"("model_channels": )", more).c_str()),
        doctest::Contains("SongUNet: 'model_channels' wants an integer up to 2147483648, got "),
        FormatError);
  CHECK_THROWS_AS(
      nn::construct("Conv2d", R"({"in_channels": 1, "out_channels": 1, "kernel": 1024})"),
      ShapeError);
  CHECK_THROWS_AS(unet(R"("model_channels": -1)"), ShapeError);
  CHECK_THROWS_AS(unet(R"("model_channels": 1, "channel_mult_noise": 2, "num_blocks": 1000000)"),
                  Error);
  CHECK_THROWS_AS(unet(R"("channel_mult": [])"), ShapeError);
  CHECK_THROWS_AS(unet(R"("channel_mult": [1,1,1,1,1,1])"), ShapeError);
}

TEST_CASE("modules nested in JSON without end are refused") {
  nn::register_class<Endless>("Endless");
  std::string json = "null";
  for (int i = 0; i < 40; ++i) json = R"({"module": "Endless", "args": {"model": )" + json + "}}";
  CHECK_THROWS_AS(nn::construct("Endless", R"({"model": )" + json + "}"), FormatError);
}
