#include <brume/nn/training/event_file.h>

#include <array>
#include <bit>
#include <chrono>

#include <brume/core/io/atomic_file.h>
#include <brume/core/io/fs.h>

namespace brume::nn {
namespace {

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1U) != 0 ? (c >> 1) ^ 0x82f63b78U : c >> 1;
    table[i] = c;
  }
  return table;
}

template <class T>
void put_little_endian(std::string& out, T value) {
  for (size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xffU);
}

// Protocol buffers: a field is its number and kind, then a varint, 4, 8 or length-prefixed bytes.
void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80U);
  out += static_cast<char>(value);
}
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

// Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
std::string event_at(int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  std::string event("\x09");
  put_little_endian(event, std::bit_cast<uint64_t>(now.count()));
  event += '\x10';
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

// TensorBoard stores checksums rotated, so that a sum over data that holds sums stays good.
uint32_t masked(uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8U; }

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = make_table();
  uint32_t c = ~0U;
  for (char byte : bytes) c = kTable[(c ^ static_cast<uint8_t>(byte)) & 0xffU] ^ (c >> 8);
  return ~c;
}

EventFile::EventFile(const std::string& folder, int64_t step)
    : path_(io::join_path(folder, "events.out.tfevents." + std::to_string(step))) {
  io::write_file(path_, "");
  std::string event = event_at(step);
  put_bytes(event, 3, "brain.Event:2");
  add_record(event);
}

void EventFile::add_scalar(int64_t step, std::string_view tag, float value) {
  std::string point;  // Summary.Value { string tag = 1; float simple_value = 2; }
  put_bytes(point, 1, tag);
  point += '\x15';
  put_little_endian(point, std::bit_cast<uint32_t>(value));
  std::string summary;
  put_bytes(summary, 1, point);
  std::string event = event_at(step);
  put_bytes(event, 5, summary);
  add_record(event);
}

void EventFile::add_record(std::string_view event) {
  std::string record;
  put_little_endian(record, static_cast<uint64_t>(event.size()));
  put_little_endian(record, masked(crc32c(record)));
  record += event;
  put_little_endian(record, masked(crc32c(event)));
  io::File file = io::File::append(path_);
  file.write(record);
  file.close();
}

}  // namespace brume::nn
