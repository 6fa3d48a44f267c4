#include <brume/core/json.h>

#include <clocale>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <brume/core/error.h>

#include "tests/io/files.h"
#include "tests/temporary_folder.h"

namespace brume::test {
namespace {

std::string refusal(const std::string& text) {
  return error_of<FormatError>([&] { parse_json(text, "options.json"); });
}

}  // namespace

TEST_CASE("JSON: values, their order and their bits survive a round trip") {
  const std::string text =
      R"({"z":1,"a":[true,false,null,-9223372036854775808,18446744073709551615],)"
      R"("é\n":{"x":0.1,"y":1e-300,"":""},"big":1.7976931348623157e+308})";
  const Json value = parse_json(text, "text");
  CHECK(value.items().begin().key() == "z");
  CHECK(value["a"][3].get<int64_t>() == std::numeric_limits<int64_t>::min());
  CHECK(value["a"][4].get<uint64_t>() == std::numeric_limits<uint64_t>::max());
  CHECK(parse_json(dump_json(value), "again") == value);
  CHECK(parse_json(dump_json(value, 2), "again") == value);
  for (const double x : {0.0002, 1.0 / 3, 5e-324, 123456789.123456789})
    CHECK(parse_json(dump_json(Json(x)), "number").get<double>() == x);
}

TEST_CASE("JSON: errors name the text and the place") {
  CHECK(contains(refusal(""), "options.json: parse error at line 1, column 1"));
  CHECK(contains(refusal("{\n \"a\": 1,\n}"), "line 3, column 1"));
  for (const std::string text : {"{", "[1,]", "{\"a\" 1}", "nul", "NaN", "Infinity", "01", "1.",
                                 "'a'", "\"\t\"", "// x\n1", "1 2", "\"\\x\"", "\"\\ud800\""})
    CHECK_MESSAGE(contains(refusal(text), "options.json: parse error at line 1"), text);
  CHECK(contains(refusal("1e999"), "options.json: number overflow parsing '1e999'"));
  CHECK(contains(refusal("\"\xc0\x80\""), "UTF-8"));
  CHECK(contains(refusal("\"\xed\xa0\x80\""), "UTF-8"));
  CHECK(contains(refusal("{\"a\":{\"b\":1,\"c\":2,\"b\":3}}"), "key 'b' stands twice"));
}

TEST_CASE("JSON: an error text stays short and printable whatever the text was") {
  const std::string text = refusal("\"" + std::string(1000000, 'a'));
  CHECK(text.size() < 400);
  for (const char c : refusal("\"\x01\x02\xff\xfe")) CHECK((c >= ' ' && c <= '~'));
}

TEST_CASE("JSON: nesting is accepted to 64 levels and refused beyond, however deep") {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(dump_json(parse_json(nested(64), "text")) == nested(64));
  CHECK(contains(refusal(nested(65)), "deeper than 64 levels"));
  CHECK(contains(refusal(nested(100000)), "deeper than 64 levels"));
  CHECK(contains(refusal(std::string(100000, '[')), "deeper than 64 levels"));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  CHECK(contains(refusal(objects), "deeper than 64 levels"));
  Json deep;
  for (int i = 0; i < 70; ++i) deep = Json::array({deep});
  CHECK(contains(error_of<FormatError>([&] { dump_json(deep); }), "deeper than 64 levels"));
}

TEST_CASE("JSON: text beyond the limit is refused before it is parsed") {
  const std::string text = "\"" + std::string(100, 'a') + "\"";
  CHECK(contains(error_of<FormatError>([&] { parse_json(text, "x", 101); }),
                 "x: 102 bytes of JSON; max_bytes allows 101"));
  CHECK(parse_json(text, "x", 102).get<std::string>().size() == 100);
}

TEST_CASE("JSON: an object of 100,000 keys takes no quadratic time, and a repeated key is found") {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i)
    text += "\"" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  CHECK(parse_json(text + "\"x\":0}", "x").size() == 100001);
  CHECK(contains(refusal(text + "\"500\":0}"), "key '500' stands twice"));
}

TEST_CASE("JSON: what has no JSON form is not written") {
  CHECK(contains(error_of<FormatError>([] { dump_json(Json(std::nan(""))); }), "JSON has no nan"));
  CHECK(contains(error_of<FormatError>([] { dump_json(Json::array({-INFINITY})); }), "-inf"));
  CHECK(contains(error_of<FormatError>([] { dump_json(Json("\xff")); }), "UTF-8"));
  CHECK(json_string("a\"\n\x01é") == "\"a\\\"\\n\\u0001é\"");
}

// A system may have no locale but C, whose numbers are JSON's: this one is made for the test.
TEST_CASE("JSON: numbers do not depend on the locale") {
  const TemporaryFolder folder;
  std::ofstream(folder / "source") << "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\n"
                                      "grouping 3;3\nEND LC_NUMERIC\n";
  // Returns 1, as the other categories are not defined.
  (void)std::system(
      cat("localedef -c -i '", folder / "source", "' '", folder / "comma", "' > /dev/null 2>&1")
          .c_str());
  setenv("LOCPATH", (folder / "").c_str(), 1);
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  const bool made = std::setlocale(LC_NUMERIC, "comma") != nullptr;
  unsetenv("LOCPATH");
  if (!made) {
    MESSAGE("not tested: no localedef here, which would make a locale with a decimal comma");
    return;
  }
  REQUIRE(std::to_string(1.5).substr(0, 3) == "1,5");
  CHECK(parse_json("1.5", "x").get<double>() == 1.5);
  CHECK(dump_json(Json(1234567.5)) == "1234567.5");
  std::setlocale(LC_NUMERIC, before.c_str());
}

}  // namespace brume::test
