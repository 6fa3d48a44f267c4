#include <algorithm>
#include <ctime>
#include <limits>

#include <doctest/doctest.h>

#include <brume/core/io/safetensors.h>

#include "tests/io/files.h"

namespace brume::test {
namespace {

const std::string kEight(8, '\1');

// What opening and reading a file of these bytes raises; every other exception fails the test.
std::string refusal(const std::string& bytes, const io::SafetensorsOptions& options = {}) {
  const TemporaryFolder folder;
  put(folder / "x", bytes);
  return error_of<FormatError>([&] { io::load_safetensors(folder / "x", options); });
}
std::string refusal_of_header(const std::string& header, const std::string& data = kEight) {
  return refusal(safetensors_bytes(header, data));
}
std::string refusal_of_entry(const std::string& inside, const std::string& data = kEight) {
  return refusal_of_header("{\"a\":{" + inside + "}}", data);
}
std::string refusal_of(const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
  return refusal_of_entry("\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
                          ",\"data_offsets\":" + offsets);
}
std::string f32(const std::string& name, const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

}  // namespace

TEST_CASE("safetensors: a header length beyond the file or the limits is refused before reading") {
  CHECK(contains(refusal(""), "0 bytes are too few"));
  CHECK(contains(refusal(little(0, 7)), "7 bytes are too few"));
  CHECK(contains(refusal(little(0, 8)), "does not begin with '{'"));
  CHECK(contains(refusal(little(1, 8)), "claims 1 bytes, but only 0 follow"));
  CHECK(contains(refusal(little(3, 8) + "{}"), "claims 3 bytes, but only 2 follow"));
  CHECK(contains(refusal(little(uint64_t{1} << 63, 8) + "{}"), "claims 9223372036854775808"));
  CHECK(contains(refusal(little(~uint64_t{0}, 8) + "{}"), "claims 18446744073709551615"));
  CHECK(contains(
      refusal(safetensors_bytes("{}" + std::string(98, ' '), ""), {.max_header_bytes = 99}),
      "max_header_bytes allows 99"));
}

TEST_CASE("safetensors: a header that is no object of sound JSON is refused") {
  CHECK(contains(refusal_of_header("[]"), "does not begin with '{'"));
  CHECK(contains(refusal_of_header("\xef\xbb\xbf{}"), "does not begin with '{'"));
  CHECK(contains(refusal_of_header("{"), "line 1, column"));
  CHECK(contains(refusal_of_header("{} {}"), "line 1, column"));
  CHECK(contains(refusal_of_header("{\"\xff\":1}"), "UTF-8"));
  CHECK(contains(refusal_of_header("{\"\\ud800\":1}"), "surrogate"));
  CHECK(contains(refusal_of_header("{\"a\":1}"), "tensor 'a' is a number, not an object"));
  CHECK(contains(refusal_of_header("{\"a\":null}"), "tensor 'a' is null, not an object"));
  CHECK(contains(refusal_of_header("{\"a\":[]}"), "tensor 'a' is an array, not an object"));
  CHECK(contains(refusal_of_header("{" + f32("a", "[1]", "[0,4]") + "," + f32("b", "[0]", "[4,4]") +
                                   "," + f32("a", "[1]", "[4,8]") + "}"),
                 "tensor 'a' stands twice"));
}

TEST_CASE("safetensors: nesting 100,000 deep is refused without exhausting the stack") {
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  CHECK(contains(refusal_of_header(deep), "an object"));
  CHECK(contains(refusal_of_entry("\"shape\":" + std::string(100000, '[')), "'shape'"));
  CHECK(contains(refusal_of_header("{\"__metadata__\":{\"k\":" + std::string(100000, '[')), "'k'"));
}

TEST_CASE("safetensors: metadata other than text is refused") {
  CHECK(contains(refusal_of_header("{\"__metadata__\":5}"), "__metadata__"));
  for (const std::string value : {"5", "-5", "1.5", "null", "true", "{}", "[]"})
    CHECK(
        contains(refusal_of_header("{\"__metadata__\":{\"k\":" + value + "}}"), "metadata 'k' is"));
  CHECK(contains(refusal_of_header("{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}"),
                 "metadata 'k' stands twice"));
  CHECK(contains(refusal_of_header("{\"__metadata__\":{},\"__metadata__\":{}}"),
                 "__metadata__ stands twice"));
}

TEST_CASE("safetensors: an entry lacks nothing and has nothing else") {
  CHECK(contains(refusal_of_entry(""), "is missing"));
  CHECK(contains(refusal_of_entry("\"dtype\":\"F32\",\"shape\":[2]"), "is missing"));
  CHECK(contains(refusal_of_entry("\"dtype\":\"F32\",\"dtype\":\"F32\""), "stands twice"));
  CHECK(contains(refusal_of_entry("\"shape\":[2],\"shape\":[2]"), "stands twice"));
  CHECK(
      contains(refusal_of_entry("\"data_offsets\":[0,8],\"data_offsets\":[0,8]"), "stands twice"));
  CHECK(contains(refusal_of_entry("\"strides\":[2]"), "'strides' does not take an array"));
  CHECK(contains(refusal_of_entry("\"dtype\":4"), "'dtype' does not take a number"));
  CHECK(contains(refusal_of_entry("\"shape\":2"), "'shape' does not take a number"));
  for (const std::string dtype : {"F33", "f32", "", "F8_E4M3", "U64", "C64"})
    CHECK(contains(refusal_of(dtype, "[2]", "[0,8]"), "dtype '" + dtype + "' is not one of F64"));
}

TEST_CASE("safetensors: shapes that wrap, are negative, fractional or of rank 9 are refused") {
  CHECK(contains(refusal_of("F32", "[4294967296,4294967296]", "[0,8]"), "is too large"));
  CHECK(contains(refusal_of("F32", "[4294967297,4294967295]", "[0,8]"), "is too large"));
  CHECK(contains(refusal_of("F32", "[2147483648,2147483648]", "[0,8]"), "is too large"));
  CHECK(contains(refusal_of("U8", "[4294967296,0,4294967296]", "[0,0]"), "is too large"));
  CHECK(contains(refusal_of("F32", "[9223372036854775808]", "[0,8]"), "is too large"));
  CHECK(contains(refusal_of("F32", "[18446744073709551615]", "[0,8]"), "is too large"));
  CHECK(contains(refusal_of("F32", "[18446744073709551616]", "[0,8]"), "not whole"));
  CHECK(contains(refusal_of("F32", "[4294967298]", "[0,8]"), "takes 17179869192 bytes"));
  CHECK(contains(refusal_of("F32", "[-2]", "[0,8]"), "a negative number"));
  CHECK(contains(refusal_of("F32", "[2.0]", "[0,8]"), "a number that is not whole"));
  CHECK(contains(refusal_of("F32", "[\"2\"]", "[0,8]"), "a string"));
  CHECK(contains(refusal_of("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), "more than 8 axes"));
  CHECK(contains(refusal_of("F64", "[2]", "[0,8]"), "takes 16 bytes, data_offsets give it 8"));
}

TEST_CASE("safetensors: data_offsets must cover the data once") {
  CHECK(contains(refusal_of("F32", "[2]", "[8,0]"), "[8, 0] do not lie in"));
  CHECK(contains(refusal_of("F32", "[2]", "[0,9]"), "do not lie in the file's 8 bytes"));
  CHECK(contains(refusal_of("F32", "[2]", "[18446744073709551612,18446744073709551615]"),
                 "do not lie in"));
  CHECK(contains(refusal_of("F32", "[2]", "[18446744073709551612,4]"), "do not lie in"));
  CHECK(contains(refusal_of("F32", "[2]", "[8]"), "wants two numbers, got 1"));
  CHECK(contains(refusal_of("F32", "[2]", "[]"), "wants two numbers, got 0"));
  CHECK(contains(refusal_of("F32", "[2]", "[0,8,8]"), "'data_offsets' does not take a number"));
  CHECK(contains(refusal_of("F32", "[2]", "[-8,0]"), "a negative number"));
  CHECK(contains(refusal_of("F32", "[1]", "[4,8]"), "begins at byte 4"));
  const auto two = [](const std::string& a, const std::string& b) {
    return refusal_of_header("{" + f32("a", "[1]", a) + "," + f32("b", "[1]", b) + "}",
                             std::string(12, '\0'));
  };
  CHECK(contains(two("[0,4]", "[2,6]"), "'b' begins at byte 2, inside the tensor that ends at 4"));
  CHECK(contains(two("[0,4]", "[0,4]"), "inside the tensor"));
  CHECK(contains(two("[0,4]", "[8,12]"), "'b' begins at byte 8 of the data, but"));
  // A sum of sizes that would wrap while each is fine.
  const std::string huge = "[2305843009213693951]";
  CHECK(contains(refusal_of_header("{" + f32("a", huge, "[0,9223372036854775804]") + "," +
                                   f32("b", huge, "[0,9223372036854775804]") + "}"),
                 "do not lie in"));
}

TEST_CASE("safetensors: bytes behind the last tensor need an option, which the error names") {
  const std::string bytes =
      safetensors_bytes("{" + f32("a", "[1]", "[0,4]") + "}", std::string("\0\0\x80\x3f?", 5));
  CHECK(contains(refusal(bytes), "1 bytes follow the last tensor; allow_trailing_bytes"));
  const TemporaryFolder folder;
  put(folder / "x", bytes);
  const auto file = io::open_safetensors(folder / "x", {.allow_trailing_bytes = true});
  CHECK(file.read("a").to_vector<float>() == std::vector<float>{1});
}

TEST_CASE("safetensors: a boolean other than 0 and 1 is refused") {
  const std::string header = R"({"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  const std::string bytes = safetensors_bytes(header, std::string("\0\1\2", 3));
  CHECK(contains(refusal(bytes), "tensor 'a': a boolean is neither 0 nor 1"));
  CHECK(contains(refusal(bytes, {.map = true}), "neither 0 nor 1"));
}

TEST_CASE("safetensors: the time of a file's checks grows as its entries do") {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, int entries) {
    std::string header = "{";
    for (int i = 0; i < entries; ++i) {
      const std::string begin = std::to_string(4 * i), end = std::to_string(4 * i + 4);
      header += (i ? "," : "") +
                f32("layer." + std::to_string(i) + ".weight", "[1]", "[" + begin + "," + end + "]");
    }
    put(folder / name,
        safetensors_bytes(header + "}", std::string(static_cast<size_t>(4 * entries), '\0')));
  };
  // Of the processor, and of one build against itself: machines and sanitizers differ.
  const auto least_time = [&](const std::string& name) {
    std::clock_t least = std::numeric_limits<std::clock_t>::max();
    for (int i = 0; i < 3; ++i) {
      const std::clock_t start = std::clock();
      (void)io::open_safetensors(folder / name);
      least = std::min(least, std::clock() - start);
    }
    return static_cast<double>(least);
  };
  write("few", 10000);
  write("many", 100000);
  const auto file = io::open_safetensors(folder / "many");
  CHECK(file.entries().size() == 100000);
  CHECK(file.find("layer.99999.weight")->array.offset % 4 == 0);
  const double many = least_time("many");
  CHECK(many < 40 * least_time("few"));  // 10 if linear, 100 if each meets each
#ifndef BRUME_SANITIZE
  CHECK(many < 1.0 * CLOCKS_PER_SEC);  // a machine takes a seventh of it
#endif
}

}  // namespace brume::test
