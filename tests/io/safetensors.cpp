#include <brume/core/io/safetensors.h>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <brume/core/io/npy.h>
#include <brume/core/json.h>

#include "tests/io/files.h"

namespace brume::test {
namespace {

const std::string kData = BRUME_SOURCE_DIR "/tests/conformance/data/";

// One tensor of each dtype with bytes that differ everywhere.
std::vector<std::pair<std::string, Tensor>> one_of_each() {
  std::vector<std::pair<std::string, Tensor>> out;
  for (const DType dtype : kAllDTypes) {
    const Tensor x = empty({2, 3}, {.dtype = dtype});
    auto* bytes = static_cast<uint8_t*>(x.data());
    for (int64_t i = 0; i < 6 * item_size(dtype); ++i)
      bytes[i] = static_cast<uint8_t>(dtype == DType::boolean ? i % 2 : 37 * i + 11);
    out.emplace_back(std::string("weight.") + name(dtype), x);
  }
  return out;
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

}  // namespace

TEST_CASE("safetensors: every dtype comes back with the same bytes, order and metadata") {
  const TemporaryFolder folder;
  const auto saved = one_of_each();
  const io::Metadata metadata = {{"format", "pt"}, {"note", "\"é\"\n\\"}};
  io::save_safetensors(folder / "x", saved, metadata);
  for (const bool map : {false, true}) {
    const auto file = io::open_safetensors(folder / "x", {.map = map});
    CHECK(file.metadata() == metadata);
    REQUIRE(file.entries().size() == saved.size());
    for (size_t i = 0; i < saved.size(); ++i) {
      const auto& [name, x] = saved[i];
      CHECK(file.entries()[i].name == name);
      const Tensor y = file.read(name);
      CHECK(y.dtype() == x.dtype());
      CHECK(y.shape() == x.shape());
      CHECK(bytes_of(y) == bytes_of(x));
    }
  }
}

TEST_CASE("safetensors: scalars, empty tensors and a file without tensors are fine") {
  const TemporaryFolder folder;
  const std::vector<std::pair<std::string, Tensor>> saved = {
      {"s", from_vector<float>({2.5F}, {})}, {"e", empty({0, 3})}, {"", empty({4, 0, 2})}};
  io::save_safetensors(folder / "x", saved);
  const auto loaded = io::load_safetensors(folder / "x");
  REQUIRE(loaded.size() == 3);
  CHECK(loaded[0].second.shape() == Shape{});
  CHECK(loaded[0].second.host<float>()[0] == 2.5F);
  CHECK(loaded[1].second.shape() == Shape{0, 3});
  CHECK(loaded[2].first.empty());
  CHECK(loaded[2].second.shape() == Shape{4, 0, 2});

  io::save_safetensors(folder / "none", {});
  CHECK(io::load_safetensors(folder / "none", {.map = true}).empty());
}

TEST_CASE("safetensors: data are aligned for their dtype whatever order they are given in") {
  const TemporaryFolder folder;
  auto saved = one_of_each();
  saved.insert(saved.begin(), {"odd", from_vector<uint8_t>({1, 2, 3}, {3})});
  io::save_safetensors(folder / "x", saved, {{"length", "odd"}});
  const auto file = io::open_safetensors(folder / "x");
  for (const auto& e : file.entries()) CHECK(e.array.offset % item_size(e.array.type) == 0);
  CHECK(file.entries()[0].name == "odd");
}

TEST_CASE("safetensors: reading into a tensor converts, and refuses another shape") {
  const TemporaryFolder folder;
  io::save_safetensors(folder / "x", std::vector<std::pair<std::string, Tensor>>{
                                         {"w", from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3})}});
  const auto file = io::open_safetensors(folder / "x");
  const Tensor same = zeros({2, 3});
  const uint32_t version = same.version();
  file.read_into("w", same);
  CHECK(same.to_vector<float>() == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(same.version() > version);
  const auto text = error_of<ShapeError>([&] { file.read_into("w", zeros({3, 2})); });
  CHECK(contains(text, "tensor 'w' is [2, 3], the tensor to fill is [3, 2]"));
  CHECK(contains(error_of<FormatError>([&] { file.read("v"); }), "there is no tensor 'v'"));
}

TEST_CASE("safetensors: reading into another layout or dtype gives the same values") {
  const TemporaryFolder folder;
  const Tensor x = arange(0, 2 * 3 * 4 * 5);
  io::save_safetensors(folder / "x", std::vector<std::pair<std::string, Tensor>>{
                                         {"w", alias(x, {2, 3, 4, 5}, {60, 20, 5, 1})}});
  const auto file = io::open_safetensors(folder / "x");
  const Tensor last = zeros({2, 3, 4, 5}, {.layout = Layout::channels_last});
  const Tensor wide = zeros({2, 3, 4, 5}, {.dtype = DType::f64});
  for (const Tensor& y : {last, wide}) {
    file.read_into("w", y);
    CHECK(y.to_vector<float>() == x.to_vector<float>());
  }
  CHECK(last.is_channels_last());
}

TEST_CASE("safetensors and npy: every layout is written in logical order") {
  const TemporaryFolder folder;
  const Tensor x = arange(0, 2 * 3 * 4 * 5), image = alias(x, {2, 3, 4, 5}, {60, 20, 5, 1});
  const Tensor layouts[] = {relayout(image, Layout::channels_last),
                            alias(x, {5, 4, 3, 2}, {1, 5, 20, 60}),     // transposed
                            alias(x, {2, 3, 4, 2}, {60, 20, 5, 2}, 1),  // every second column
                            alias(x, {7, 5}, {0, 1}, 10)};              // a repeated row
  for (const Tensor& y : layouts) {
    CHECK_FALSE(y.is_row_major());
    io::save_safetensors(folder / "x", std::vector<std::pair<std::string, Tensor>>{{"y", y}});
    io::write_npy(folder / "y", y);
    for (const Tensor& z :
         {io::open_safetensors(folder / "x").read("y"), io::read_npy(folder / "y")}) {
      CHECK(z.shape() == y.shape());
      CHECK(z.is_row_major());
      CHECK(z.to_vector<float>() == y.to_vector<float>());
    }
  }
}

TEST_CASE("safetensors: a mapped tensor can be written without changing the file") {
  const TemporaryFolder folder;
  io::save_safetensors(folder / "x", std::vector<std::pair<std::string, Tensor>>{
                                         {"w", from_vector<float>({1, 2, 3}, {3})}});
  const std::string before = get(folder / "x");
  const Tensor x = io::open_safetensors(folder / "x", {.map = true}).read("w");
  x.host<float>()[1] = 9;  // the mapping outlives the file object
  CHECK(x.to_vector<float>() == std::vector<float>{1, 9, 3});
  CHECK(get(folder / "x") == before);
}

TEST_CASE("safetensors: small integers widen, and unaligned data load, mapped or not") {
  const TemporaryFolder folder;
  const std::string header =
      "{\"a\":" + entry("I8", "[2]", "[0,2]") + ",\"b\":" + entry("I16", "[2]", "[2,6]") +
      ",\"c\":" + entry("U16", "[1]", "[6,8]") + ",\"d\":" + entry("U32", "[1]", "[8,12]") +
      ",\"pad\":" + entry("U8", "[1]", "[12,13]") + ",\"f\":" + entry("F32", "[1]", "[13,17]") +
      "}";
  const std::string data = std::string("\x80\x7f\x00\x80\xff\x7f\xff\xff\xff\xff\xff\xff\x01", 13) +
                           std::string("\x00\x00\x20\x40", 4);
  put(folder / "x", safetensors_bytes(header, data));
  for (const bool map : {false, true}) {
    const auto file = io::open_safetensors(folder / "x", {.map = map});
    CHECK(file.read("a").to_vector<int32_t>() == std::vector<int32_t>{-128, 127});
    CHECK(file.read("b").to_vector<int32_t>() == std::vector<int32_t>{-32768, 32767});
    CHECK(file.read("c").to_vector<int32_t>() == std::vector<int32_t>{65535});
    CHECK(file.read("d").to_vector<int64_t>() == std::vector<int64_t>{4294967295});
    CHECK(file.read("f").to_vector<float>() == std::vector<float>{2.5F});
  }
}

TEST_CASE("safetensors: files of the reference load with their values") {
  for (const std::string stem : {"st_mixed_v", "st_no_metadata_v"}) {
    const auto wanted = io::open_safetensors(kData + "checkpoint/" + stem + ".safetensors");
    const Json info = parse_json(wanted.metadata().find("case")->second, stem);
    const auto file = io::open_safetensors(kData + "checkpoint/files/" + stem + ".st");
    CHECK(file.metadata().size() == info["metadata"].size());
    for (const auto& [key, value] : info["metadata"].items())
      CHECK(file.metadata().at(key) == value.get<std::string>());
    CHECK(file.entries().size() == info["entries"].size());
    for (const auto& entry : info["entries"].items()) {
      const std::string& name = entry.key();
      CAPTURE(name);
      const Tensor x = file.read(name), y = wanted.read("state/" + name);
      CHECK(x.dtype() == y.dtype());
      CHECK(x.shape() == y.shape());
      CHECK(bytes_of(x) == bytes_of(y));
      CHECK(entry.value()["shape"].size() == static_cast<size_t>(x.rank()));
    }
  }
}

TEST_CASE("safetensors: every bad file of the conformance set is refused with a text") {
  const Json index = parse_json(get(kData + "bad/index.json"), "index.json");
  int count = 0;
  for (const Json& bad : index["cases"]) {
    if (bad["format"] != "safetensors") continue;
    const std::string file = bad["file"];
    CAPTURE(file);
    const std::string text =
        error_of<FormatError>([&] { io::load_safetensors(kData + "bad/" + file); });
    CHECK(contains(text, file + ": "));
    ++count;
  }
  CHECK(count == 17);
}

TEST_CASE("safetensors: saving refuses names that could not be read back") {
  const TemporaryFolder folder;
  using Tensors = std::vector<std::pair<std::string, Tensor>>;
  const auto refuse = [&](const Tensors& tensors) {
    return error_of<FormatError>([&] { io::save_safetensors(folder / "x", tensors); });
  };
  CHECK(contains(refuse({{"a", zeros({1})}, {"b", zeros({1})}, {"a", zeros({1})}}),
                 "'a' is given twice"));
  CHECK(contains(refuse({{"__metadata__", zeros({1})}}), "reserved"));
  CHECK(contains(refuse({{"\xff", zeros({1})}}), "UTF-8"));
  CHECK(contains(refuse({{"a", Tensor()}}), "empty"));
}

}  // namespace brume::test
