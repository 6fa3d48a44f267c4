#include <brume/nn/key_patterns.h>

#include <algorithm>
#include <optional>

#include <brume/core/error.h>

namespace brume::nn {
namespace {

using Texts = std::vector<std::string_view>;

// What each '*' of the pattern stands for, the first ones as little as they can, or nothing if the
// text does not fit. No star is looked at twice: a literal part that is found early leaves more for
// those behind it.
std::optional<Texts> starred_texts(std::string_view pattern, std::string_view text) {
  size_t star = pattern.find('*');
  if (star == pattern.npos) return text == pattern ? std::optional<Texts>(Texts{}) : std::nullopt;
  if (!text.starts_with(pattern.substr(0, star))) return std::nullopt;
  text.remove_prefix(star);
  Texts texts;
  for (;;) {
    pattern.remove_prefix(star + 1);
    star = pattern.find('*');
    const std::string_view literal = pattern.substr(0, star);
    if (star == pattern.npos) {
      if (!text.ends_with(literal)) return std::nullopt;
      texts.push_back(text.substr(0, text.size() - literal.size()));
      return texts;
    }
    const size_t at = text.find(literal);
    if (at == text.npos) return std::nullopt;
    texts.push_back(text.substr(0, at));
    text.remove_prefix(at + literal.size());
  }
}

std::string filled_in(std::string_view to, const Texts& texts) {
  std::string out;
  size_t next = 0;
  for (const char c : to) {
    if (c == '*')
      out += texts[next++];
    else
      out += c;
  }
  return out;
}

}  // namespace

bool fits_pattern(std::string_view text, std::string_view pattern) {
  return starred_texts(pattern, text).has_value();
}

std::string renamed_key(std::string_view key, const KeyTable& table) {
  for (const KeyPattern& pattern : table) {
    check<Error>(std::count(pattern.to.begin(), pattern.to.end(), '*') <=
                     std::count(pattern.from.begin(), pattern.from.end(), '*'),
                 "KeyPattern: '", pattern.to, "' has more stars than '", pattern.from, "'");
    if (const std::optional<Texts> texts = starred_texts(pattern.from, key))
      return filled_in(pattern.to, *texts);
  }
  return std::string(key);
}

}  // namespace brume::nn
