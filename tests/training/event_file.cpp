// Event files as a reader of TensorBoard's format sees them: nothing here is the writer's code.

#include <bit>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/io/fs.h>
#include <brume/nn/training/event_file.h>

using namespace brume;

namespace {

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// The Castagnoli polynomial, bit by bit, then TensorFlow's mask.
uint64_t masked_checksum(std::string_view bytes) {
  uint32_t crc = 0xffffffffU;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) * 0x82f63b78U);
  }
  crc = ~crc;
  return static_cast<uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8U);
}

std::string_view take(std::string_view& from, size_t count) {
  REQUIRE(count <= from.size());
  const std::string_view taken = from.substr(0, count);
  from.remove_prefix(count);
  return taken;
}

// A record is a length of 8 bytes, its checksum, so many bytes, and theirs.
std::vector<std::string_view> records(std::string_view file) {
  std::vector<std::string_view> found;
  while (!file.empty()) {
    const std::string_view length = take(file, 8);
    REQUIRE(little_endian(take(file, 4)) == masked_checksum(length));
    found.push_back(take(file, static_cast<size_t>(little_endian(length))));
    REQUIRE(little_endian(take(file, 4)) == masked_checksum(found.back()));
  }
  return found;
}

uint64_t varint(std::string_view& from) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<uint8_t>(take(from, 1)[0]);
    value |= static_cast<uint64_t>(byte & 0x7fU) << shift;
    if (byte < 0x80) return value;
  }
}

// A protocol-buffer message: the numbers and the bytes of its fields.
struct Message {
  std::map<uint64_t, uint64_t> numbers;
  std::map<uint64_t, std::string_view> bytes;

  explicit Message(std::string_view from) {
    while (!from.empty()) {
      const uint64_t key = varint(from), field = key >> 3;
      switch (key & 7U) {
        case 0:
          numbers[field] = varint(from);
          break;
        case 1:
          numbers[field] = little_endian(take(from, 8));
          break;
        case 2:
          bytes[field] = take(from, static_cast<size_t>(varint(from)));
          break;
        case 5:
          numbers[field] = little_endian(take(from, 4));
          break;
        default:
          FAIL("field ", field, " is of a kind that protocol buffers do not have");
      }
    }
  }
};

}  // namespace

TEST_CASE("an events file holds its version, then step, tag and value of each scalar") {
  const std::string folder = "event_file", long_tag(300, 't');
  io::make_folders(folder);
  {
    nn::EventFile events(folder, 7);
    events.add_scalar(7, "loss", 0.25F);
    events.add_scalar(70000, long_tag, -1.5e-8F);
  }
  const std::string file = io::read_file(folder + "/events.out.tfevents.7", 10000);
  const auto found = records(file);
  REQUIRE(found.size() == 3);
  CHECK(Message(found[0]).bytes.at(3) == "brain.Event:2");
  const auto check_scalar = [&](size_t i, uint64_t step, std::string_view tag, float value) {
    const Message event(found[i]);
    CHECK(event.numbers.at(2) == step);
    const auto seconds = std::bit_cast<double>(event.numbers.at(1));
    CHECK(seconds > 1.6e9);  // since 1970
    CHECK(seconds < 1e11);
    const Message summary(event.bytes.at(5)), point(summary.bytes.at(1));
    CHECK(point.bytes.at(1) == tag);
    CHECK(std::bit_cast<float>(static_cast<uint32_t>(point.numbers.at(2))) == value);
  };
  check_scalar(1, 7, "loss", 0.25F);
  check_scalar(2, 70000, long_tag, -1.5e-8F);
}
