#include "tests/io/archive_bytes.h"

#include <cstdio>

#include "tests/io/files.h"
#include "tests/io/png_bytes.h"

namespace brume::test {
namespace {

// Deflate's form without compression, for up to 65,535 bytes.
std::string deflate_stored(const std::string& content) {
  return "\x01" + little(content.size(), 2) + little(~content.size(), 2) + content;
}

std::string octal(uint64_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

std::string zip_archive(const std::vector<ZipPart>& parts) {
  std::string out, list;
  for (const ZipPart& p : parts) {
    const std::string packed = p.deflated ? deflate_stored(p.content) : p.content;
    const std::string facts = little(p.deflated ? 8 : 0, 2) + little(0x00210000, 4) +
                              little(p.crc ? *p.crc : crc32(p.content), 4) +
                              little(packed.size(), 4) +
                              little(p.unpacked ? *p.unpacked : p.content.size(), 4);
    const std::string& listed = p.list_name.empty() ? p.name : p.list_name;
    list += "PK\1\2" + little(20, 2) + little(20, 2) + little(p.flags, 2) + facts +
            little(listed.size(), 2) + std::string(12, '\0') + little(out.size(), 4) + listed;
    out += "PK\3\4" + little(20, 2) + little(p.flags, 2) + facts + little(p.name.size(), 2) +
           little(0, 2) + p.name + packed;
  }
  return out + list + "PK\5\6" + little(0, 4) + little(parts.size(), 2) + little(parts.size(), 2) +
         little(list.size(), 4) + little(out.size(), 4) + little(0, 2);
}

std::string tar_archive(const std::vector<TarPart>& parts) {
  std::string out;
  for (const TarPart& p : parts) {
    std::string header(512, '\0');
    const auto put_at = [&](size_t offset, const std::string& text) {
      header.replace(offset, text.size(), text);
    };
    put_at(0, p.name);
    put_at(100, "0000644");
    put_at(124, octal(p.size ? *p.size : p.content.size(), 11));
    put_at(148, "        ");
    put_at(156, std::string(1, p.type));
    put_at(257, std::string("ustar\0"
                            "00",
                            8));
    uint64_t sum = 0;
    for (const char c : header) sum += static_cast<uint8_t>(c);
    put_at(148, octal(sum, 6) + std::string(1, '\0'));
    out += header + p.content;
    out.resize((out.size() + 511) / 512 * 512, '\0');
  }
  return out + std::string(1024, '\0');
}

}  // namespace brume::test
