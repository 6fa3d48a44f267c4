#include <brume/core/io/pickle.h>

#include <doctest/doctest.h>

#include "tests/io/files.h"

namespace brume::test {
namespace {

using io::Pickle;
using io::PickleKind;

Pickle read(std::string_view bytes, const io::PickleOptions& options = {}) {
  io::ByteReader reader(bytes, "pickle");
  return io::read_pickle(reader, options);
}

std::string refuse(const std::string& bytes, const io::PickleOptions& options = {}) {
  return error_of<FormatError>([&] { read(bytes, options); });
}

std::string with_nul(const char* bytes, size_t size) { return {bytes, size}; }

}  // namespace

TEST_CASE("pickle: plain values come out as they went in") {
  const std::string bytes = "\x80\x02(K\x05M\x01\x02J\xff\xff\xff\xff\x8a\x05" +
                            with_nul("\0\0\0\0\1", 5) + "\x8a" + with_nul("\0", 1) + "G" +
                            with_nul("\x3f\xf8\0\0\0\0\0\0", 8) + "X" + little(2, 4) + "\xc3\xa9" +
                            "N\x88\x89\x8a\x09" + with_nul("\0\0\0\0\0\0\0\0\1", 9) + "t.";
  const Pickle p = read(bytes);
  const auto& items = p.tuple(p.root(), "root");
  REQUIRE(items.size() == 11);
  const int64_t integers[] = {5, 513, -1, int64_t{1} << 32, 0};
  for (size_t i = 0; i < 5; ++i) CHECK(p.integer(items[i], "item") == integers[i]);
  CHECK(p.number(items[5], "item") == 1.5);
  CHECK(p.text(items[6], "item") == "\xc3\xa9");
  CHECK(p.kind(items[7]) == PickleKind::none);
  CHECK(p.boolean(items[8], "item"));
  CHECK_FALSE(p.boolean(items[9], "item"));
  CHECK(p.kind(items[10]) == PickleKind::big_integer);
}

TEST_CASE("pickle: containers grow, and shared ones are shared") {
  // a = [1, 2]; {1: a, 2: a, 3: None}
  const Pickle p = read(
      "\x80\x02}(K\x01]q\x07(K\x01K\x02"
      "eK\x02h\x07uK\x03Ns.");
  const auto& items = p.items(p.root(), "root");
  REQUIRE(items.size() == 6);
  CHECK(items[1] == items[3]);
  CHECK(p.items(items[1], "list").size() == 2);
  // A ring does no harm until somebody follows it.
  const Pickle ring = read("]q" + with_nul("\0h\0a.", 5));
  CHECK(ring.items(ring.root(), "list")[0] == ring.root());
}

TEST_CASE("pickle: names and calls are kept and nothing is run") {
  const std::string bytes = "cos\nsystem\nX" + little(4, 4) + "echo\x85R.";
  const Pickle p = read(bytes);
  REQUIRE(p.kind(p.root()) == PickleKind::call);
  CHECK(p.text(p.items(p.root(), "call")[0], "name") == "os\nsystem");
}

TEST_CASE("pickle: every opcode outside the list is refused with its offset") {
  const std::string known =
      "\x80.N\x88\x89KMJ\x8aGXc()]}t\x85\x86\x87"
      "aesuqrhjQRb";
  for (int code = 0; code < 256; ++code) {
    const auto c = static_cast<char>(code);
    if (known.find(c) != known.npos) continue;
    const std::string text = refuse("NN" + std::string(1, c));
    CHECK(contains(text, "at offset 2: this opcode is not read"));
  }
}

TEST_CASE("pickle: a broken stack, memo or container is refused") {
  CHECK(contains(refuse("."), "opcode '.' at offset 0: the stack is empty"));
  CHECK(contains(refuse("NN."), "left over"));
  CHECK(contains(refuse("N(."), "the stack is empty"));
  CHECK(contains(refuse("N"), "only 0 are left"));
  CHECK(contains(refuse("Nt."), "there is no mark"));
  CHECK(contains(refuse("N(\x85."), "the stack is empty"));
  CHECK(contains(refuse("R."), "the stack is empty"));
  CHECK(contains(refuse("N)R."), "not a name"));
  CHECK(contains(refuse("ca\nb\nNR."), "not a tuple"));
  CHECK(contains(refuse("ca\nb\n)R)R."), "not a name"));  // a call of what a call gave
  CHECK(contains(refuse("]K\x01K\x02s."), "no dict"));
  CHECK(contains(refuse("}K\x01"
                        "a."),
                 "no list"));
  CHECK(contains(refuse("}(K\x01u."), "a key has no value"));
  CHECK(contains(refuse("NNb."), "attributes"));
  CHECK(contains(refuse("h\x05."), "memo slot 5 was never set"));
  CHECK(contains(refuse("Nr" + little(1U << 31, 4) + "."), "memo slot 2147483648 is beyond"));
  CHECK(contains(refuse("X" + little(0xffffffff, 4) + "a."), "wanted 4294967295 bytes"));
  CHECK(contains(refuse("ca\nb"), "only 0 are left"));
  CHECK(contains(refuse("\x80\x09N."), "protocol 9"));
}

TEST_CASE("pickle: depth, size and number of values have limits") {
  CHECK(contains(refuse(std::string(100000, '(')), "max_depth = 64"));
  CHECK(contains(refuse(std::string(1000, 'N'), {.max_values = 100}), "max_values = 100"));
  CHECK(contains(refuse(std::string(1000, 'N'), {.max_bytes = 100}), "max_bytes = 100"));
  // A list that takes itself over and over.
  std::string amplified = "]q" + with_nul("\0", 1);
  for (int i = 0; i < 1000; ++i) amplified += with_nul("h\0a", 3);
  CHECK(contains(refuse(amplified, {.max_values = 100}), "more items than max_values"));
  std::string deep = "]";
  for (int i = 0; i < 100000; ++i) deep += "\x85";
  deep += ".";
  CHECK(read(deep).size() == 100001);
}

}  // namespace brume::test
