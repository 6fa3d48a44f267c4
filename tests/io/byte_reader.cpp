#include <brume/core/io/byte_reader.h>

#include <doctest/doctest.h>

#include <brume/core/io/quote.h>

#include "tests/io/files.h"

namespace brume::test {

TEST_CASE("a reader gives what is there, and says how much is missing") {
  io::ByteReader reader(std::string_view("\x01\x02\x03\x04\x00\x00\xc0\x3f"
                                         "ab",
                                         10),
                        "file");
  CHECK(reader.take_little<uint32_t>() == 0x04030201U);
  CHECK(reader.take_little<float>() == 1.5F);
  CHECK(reader.take_text(2) == "ab");
  CHECK(reader.at_end());
  CHECK(reader.take(0).empty());
  reader.seek(8);
  CHECK(reader.remaining() == 2);
  CHECK(error_of<FormatError>([&] { reader.take(3); }) ==
        "file: wanted 3 bytes at offset 8, but only 2 are left");
  CHECK_THROWS_AS(reader.take(~uint64_t{0}), FormatError);
  CHECK_THROWS_AS(reader.take_little<uint64_t>(), FormatError);
  CHECK(reader.position() == 8);
  CHECK_THROWS_AS(reader.seek(11), FormatError);
  reader.seek(10);
}

TEST_CASE("sizes never wrap") {
  constexpr uint64_t kAll = ~uint64_t{0};
  CHECK(io::add_size(kAll - 1, 1, "x") == kAll);
  CHECK_THROWS_AS(io::add_size(kAll, 1, "x"), FormatError);
  CHECK(io::mul_size(kAll, 1, "x") == kAll);
  CHECK(io::mul_size(kAll, 0, "x") == 0);
  CHECK(io::mul_size(0, kAll, "x") == 0);
  CHECK(io::mul_size(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, "x") == kAll - 0xffffffffU);
  CHECK_THROWS_AS(io::mul_size(uint64_t{1} << 32, uint64_t{1} << 32, "x"), FormatError);
}

TEST_CASE("text from a file is quoted short and plain") {
  CHECK(io::quote("a b") == "'a b'");
  CHECK(io::quote(std::string_view("\n\x00\xff", 3)) == "'\\x0a\\x00\\xff'");
  CHECK(io::quote(std::string(200, 'a')) == "'" + std::string(80, 'a') + "...'");
}

}  // namespace brume::test
