#pragma once
// PNG files put together by hand, so that tests can make what libpng would not write.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brume::test {

struct PngHead {
  uint32_t width = 1, height = 1;
  int depth = 8, colour = 0;  // 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  int interlace = 0;
};

/// The checksum of PNG and of zip.
uint32_t crc32(std::string_view bytes);
/// Length, name, data and checksum.
std::string png_chunk(std::string_view name, std::string_view data);
/// zlib's format, without compressing.
std::string zlib_stored(std::string_view data);
/// A whole file; `rows` are the bytes of each row, `extra` the chunks before the pixels.
std::string png_bytes(const PngHead& head, const std::vector<std::string>& rows,
                      const std::string& extra = "");
/// The rows of the seven passes over an 8-bit grey picture.
std::vector<std::string> interlaced(const std::vector<std::string>& rows);

}  // namespace brume::test
