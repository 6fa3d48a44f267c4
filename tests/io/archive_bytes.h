#pragma once
// Zip and tar archives put together by hand, so that tests can make what no program would write.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brume::test {

struct ZipPart {
  std::string name, content;
  bool deflated = false;
  std::optional<uint32_t> crc = {};       // instead of the right one
  std::optional<uint32_t> unpacked = {};  // size, in both headers
  std::string list_name = {};             // in the list of members; empty: `name`
  uint16_t flags = 0;
};

std::string zip_archive(const std::vector<ZipPart>& parts);

struct TarPart {
  std::string name, content;
  char type = '0';
  std::optional<uint64_t> size = {};  // instead of the content's
};

std::string tar_archive(const std::vector<TarPart>& parts);

}  // namespace brume::test
