#include <brume/core/io/torch_pt.h>

#include <bit>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <brume/core/io/safetensors.h>
#include <brume/core/json.h>

#include "tests/io/archive_bytes.h"
#include "tests/io/files.h"

namespace brume::test {
namespace {

const std::string kData = BRUME_SOURCE_DIR "/tests/conformance/data/";

// The pickle of {"w": tensor}, put together from the arguments of its parts.
struct Tree {
  std::string storage = "storage", type = "torch\nFloatStorage", key = "0";
  int64_t count = 6, offset = 0;
  std::vector<int64_t> shape = {2, 3}, strides = {3, 1};

  std::string pickle() const {
    io::PickleWriter p;
    const auto dims = [&](const std::vector<int64_t>& values) {
      p.mark();
      for (const int64_t v : values) p.integer(v);
      p.tuple();
    };
    p.global("collections", "OrderedDict");
    p.empty_tuple();
    p.call();
    p.mark();
    p.text("w");
    p.global("torch._utils", "_rebuild_tensor_v2");
    p.mark();
    p.mark();
    p.text(storage);
    p.global(type.substr(0, type.find('\n')), type.substr(type.find('\n') + 1));
    p.text(key);
    p.text("cuda:0");
    p.integer(count);
    p.tuple();
    p.persistent();
    p.integer(offset);
    dims(shape);
    dims(strides);
    p.boolean(false);
    p.global("collections", "OrderedDict");
    p.empty_tuple();
    p.call();
    p.tuple();
    p.call();
    p.set_items();
    return p.finish();
  }
};

std::string floats(int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += little(std::bit_cast<uint32_t>(static_cast<float>(i)), 4);
  return out;
}

io::TorchFile open(std::string archive, const io::TorchOptions& options = {}) {
  return io::TorchFile(std::make_shared<io::TextSource>("x.pt", std::move(archive)), options);
}

std::string archive(const std::string& pickle, const std::string& storage) {
  return zip_archive({{"m/data.pkl", pickle}, {"m/data/0", storage}, {"m/version", "3\n"}});
}

std::string refuse(const Tree& tree) {
  return error_of<FormatError>([&] { open(archive(tree.pickle(), floats(6))); });
}

}  // namespace

TEST_CASE("torch: files of the reference load with their values") {
  if (!io::has_zip()) return;
  for (const std::string stem :
       {"pt_many_v", "pt_mixed_v", "pt_mixed_legacy_v", "pt_params_v", "pt_single_v",
        "pt_strided_shared_v", "pt_training_v", "pt_strided_shared_legacy_v"}) {
    CAPTURE(stem);
    const auto wanted = io::open_safetensors(kData + "checkpoint/" + stem + ".safetensors");
    const io::TorchFile file = io::open_torch(kData + "checkpoint/files/" + stem + ".pt");
    const auto entries = file.entries();
    CHECK(entries.size() == wanted.entries().size());
    for (size_t i = 0; i < entries.size(); ++i) {
      CAPTURE(entries[i].name);
      const Tensor x = file.read(entries[i].tensor), y = wanted.read("state/" + std::to_string(i));
      CHECK(x.shape() == y.shape());
      CHECK(x.shape() == entries[i].tensor.loaded_shape());
      CHECK(x.dtype() == y.dtype());
      CHECK(bytes_of(x) == bytes_of(y));
    }
  }
}

TEST_CASE("torch: every bad file of the conformance set is refused with a text") {
  if (!io::has_zip()) return;
  const Json index = parse_json(get(kData + "bad/index.json"), "index.json");
  int count = 0;
  for (const Json& bad : index["cases"]) {
    if (bad["format"] != "torch") continue;
    const std::string name = bad["file"];
    CAPTURE(name);
    const std::string text = error_of<FormatError>([&] {
      const io::TorchFile file = io::open_torch(kData + "bad/" + name);
      for (const io::TorchEntry& e : file.entries()) file.read(e.tensor);
    });
    CHECK((contains(text, name) || bad["expected"] != "refuse"));
    ++count;
  }
  CHECK(count == 17);
}

TEST_CASE("torch: a state dict is read back, ties included") {
  if (!io::has_zip()) return;
  const TemporaryFolder folder;
  std::vector<std::pair<std::string, Tensor>> state;
  for (const DType dtype : kAllDTypes)
    state.emplace_back(name(dtype), convert(from_vector<float>({0, 1, 1, 0}, {4}), dtype));
  const Tensor x = from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  state.emplace_back("x", x);
  state.emplace_back("x.again", x);
  state.emplace_back("x.turned", alias(x, {3, 2}, {1, 3}));
  state.emplace_back("scalar", zeros({}));
  state.emplace_back("empty", zeros({0, 3}));
  io::save_torch(folder / "x.pt", state);
  CHECK(get(folder / "x.pt") == io::torch_bytes(state));
  // Its room is known beforehand: a text that grows would stand in memory twice.
  const std::string in_memory =
      io::torch_bytes(std::vector{std::pair(std::string("x"), zeros({300000}))});
  CHECK(in_memory.capacity() < in_memory.size() + 4096);
  const io::TorchFile file = io::open_torch(folder / "x.pt");
  const auto entries = file.entries();
  REQUIRE(entries.size() == state.size());
  for (size_t i = 0; i < state.size(); ++i) {
    CHECK(entries[i].name == state[i].first);
    CHECK(file.read(entries[i].tensor).shape() == state[i].second.shape());
    CHECK(bytes_of(file.read(entries[i].tensor)) == bytes_of(state[i].second));
  }
  const auto storage = [&](size_t i) { return entries[std::size(kAllDTypes) + i].tensor.storage; };
  CHECK(storage(0) == storage(1));
  CHECK(storage(0) != storage(2));
  state.emplace_back("x", x);
  CHECK(contains(error_of<FormatError>([&] { io::save_torch(folder / "y.pt", state); }),
                 "'x' is given twice"));
}

TEST_CASE("torch: tensors that leave their storage, and storages of other sizes, are refused") {
  if (!io::has_zip()) return;
  CHECK(refuse({}).empty());
  CHECK(refuse({.offset = 1, .shape = {2, 2}, .strides = {3, 1}}).empty());
  CHECK(refuse({.offset = 6, .shape = {0, 2}, .strides = {3, 1}}).empty());
  CHECK(contains(refuse({.offset = 1}), "x.pt: data.pkl: at offset"));
  for (const Tree& tree : {Tree{.offset = 1}, Tree{.offset = -1}, Tree{.strides = {4, 1}},
                           Tree{.offset = 7, .shape = {0, 1}}, Tree{.shape = {7}, .strides = {1}},
                           Tree{.shape = {2}, .strides = {int64_t{1} << 62}},
                           Tree{.shape = {int64_t{1} << 40, int64_t{1} << 40}, .strides = {0, 0}}})
    CHECK(contains(refuse(tree), "leaves its storage"));
  CHECK(contains(refuse({.strides = {-3, 1}}), "with -3 in it"));
  CHECK(contains(refuse({.shape = {-2, 3}}), "with -2 in it"));
  CHECK(contains(refuse({.strides = {1}}), "of shape [2, 3] and strides [1]"));
  CHECK(
      contains(refuse({.shape = std::vector<int64_t>(9, 1), .strides = std::vector<int64_t>(9, 1)}),
               "rank 9"));
  CHECK(contains(refuse({.count = 7}), "has 24 bytes, wanted 28"));
  CHECK(contains(refuse({.count = -1}), "a storage of -1 elements"));
  CHECK(contains(refuse({.key = "1"}), "there is no member 'm/data/1'"));
  CHECK(contains(refuse({.key = "../0"}), "there is no member"));
  CHECK(contains(refuse({.storage = "module"}), "no storage"));
  CHECK(contains(refuse({.type = "os\nsystem"}), "the name 'os.system' is not in the list"));
  CHECK(contains(refuse({.type = "torch\nfloat8_e4m3fn"}), "torch.float8_e4m3fn"));
}

TEST_CASE("torch: a view may not unfold to far more than the file") {
  if (!io::has_zip()) return;
  const Tree wide{.count = 6, .shape = {1 << 20, 6}, .strides = {0, 1}};
  CHECK(contains(refuse(wide), "max_expansion"));
  const auto file = open(archive(wide.pickle(), floats(6)), {.max_expansion = uint64_t{32} << 20});
  CHECK(file.read(file.entries()[0].tensor).size(0) == 1 << 20);
}

TEST_CASE("torch: both byte orders are read") {
  if (!io::has_zip()) return;
  const Tree tree{.count = 1, .shape = {1}, .strides = {1}};
  for (const std::string order : {"little", "big"}) {
    const auto file =
        open(zip_archive({{"m/data.pkl", tree.pickle()},
                          {"m/byteorder", order},
                          {"m/data/0", order == "big" ? std::string("\x3f\x80\0\0", 4)
                                                      : std::string("\0\0\x80\x3f", 4)}}));
    CHECK(file.read(file.entries()[0].tensor).to_vector<float>()[0] == 1.0F);
  }
  CHECK(contains(error_of<FormatError>([&] {
                   open(zip_archive({{"m/data.pkl", tree.pickle()}, {"m/byteorder", "middle"}}));
                 }),
                 "unknown byte order 'middle'"));
}

TEST_CASE("torch: the tree of a training checkpoint can be walked") {
  if (!io::has_zip()) return;
  const io::TorchFile file = io::open_torch(kData + "checkpoint/files/pt_training_v.pt");
  const io::TorchValue root = file.root();
  REQUIRE(root.kind() == io::TorchKind::dict);
  CHECK(root.key(0).text() == "epoch");
  CHECK(root.item(0).integer() == 3);
  CHECK_THROWS_AS(root.item(0).text(), FormatError);
  const auto entries = file.entries();
  CHECK(entries[0].name == "model.0.weight");
  CHECK(entries.back().name == "optimizer.state.5.exp_avg_sq");
}

TEST_CASE("torch: a value keeps the tree alive that it belongs to") {
  if (!io::has_zip()) return;
  const auto root = [] { return open(archive(Tree().pickle(), floats(6))).root(); };
  const io::TorchValue pairs = root();
  REQUIRE(pairs.size() == 1);
  CHECK(pairs.key(0).text() == "w");
  const io::TorchValue weight = root().item(0);
  CHECK(weight.tensor().shape == Shape{2, 3});
}

TEST_CASE("torch: shared values that would unfold without end are refused") {
  if (!io::has_zip()) return;
  // Ten levels of lists, each twenty times the one before; and a list that holds itself.
  std::string bomb = "]q" + std::string("\0", 1);
  for (char level = 1; level < 10; ++level) {
    bomb += "](";
    for (int i = 0; i < 20; ++i) bomb += std::string("h") + static_cast<char>(level - 1);
    bomb += std::string("eq") + level + "0";
    bomb.pop_back();
  }
  std::string stacked = bomb + "t.";
  stacked.insert(0, "(");
  const std::string ring = "]q" + std::string("\0h\0a.", 5);
  for (const std::string& pickle : {stacked, ring}) {
    const auto file = open(archive(pickle, ""));
    CHECK(contains(error_of<FormatError>([&] { file.entries(); }), "unfold"));
  }
}

}  // namespace brume::test
