#include "tests/io/png_bytes.h"

namespace brume::test {
namespace {

std::string big(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

uint32_t adler32(std::string_view bytes) {
  uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

}  // namespace

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
  }
  return ~crc;
}

std::string png_chunk(std::string_view name, std::string_view data) {
  const std::string body = std::string(name) + std::string(data);
  return big(static_cast<uint32_t>(data.size())) + body + big(crc32(body));
}

std::string zlib_stored(std::string_view data) {
  const auto size = static_cast<uint16_t>(data.size()), inverse = static_cast<uint16_t>(~size);
  std::string out = "\x78\x01\x01";
  for (const uint16_t n : {size, inverse})
    out += {static_cast<char>(n & 0xff), static_cast<char>(n >> 8)};
  return out + std::string(data) + big(adler32(data));
}

std::string png_bytes(const PngHead& head, const std::vector<std::string>& rows,
                      const std::string& extra) {
  std::string pixels;
  for (const std::string& row : rows) pixels += '\0' + row;  // every row unfiltered
  const std::string ihdr =
      big(head.width) + big(head.height) +
      std::string{static_cast<char>(head.depth), static_cast<char>(head.colour), '\0', '\0',
                  static_cast<char>(head.interlace)};
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", ihdr) + extra +
         png_chunk("IDAT", zlib_stored(pixels)) + png_chunk("IEND", "");
}

std::vector<std::string> interlaced(const std::vector<std::string>& rows) {
  struct Pass {
    size_t top, left, down, right;
  };
  constexpr Pass kPasses[] = {{0, 0, 8, 8}, {0, 4, 8, 8}, {4, 0, 8, 4}, {0, 2, 4, 4},
                              {2, 0, 4, 2}, {0, 1, 2, 2}, {1, 0, 2, 1}};
  std::vector<std::string> out;
  for (const Pass& pass : kPasses)
    for (size_t y = pass.top; y < rows.size(); y += pass.down) {
      std::string row;
      for (size_t x = pass.left; x < rows[y].size(); x += pass.right) row += rows[y][x];
      if (!row.empty()) out.push_back(row);
    }
  return out;
}

}  // namespace brume::test
