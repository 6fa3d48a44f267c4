#include <brume/core/text.h>

#include <array>
#include <charconv>

namespace brume {

std::string short_number(double x) {
  std::array<char, 64> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), x, std::chars_format::general, 4).ptr;
  return {text.data(), end};
}

std::string zero_padded(int64_t n, size_t digits) {
  std::string text = std::to_string(n);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}

}  // namespace brume
