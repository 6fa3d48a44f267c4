#include <brume/core/io/quote.h>

namespace brume::io {

std::string printable(std::string_view text, size_t limit) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
  }
  return text.size() > limit ? out + "..." : out;
}

std::string quote(std::string_view text) { return "'" + printable(text) + "'"; }

}  // namespace brume::io
