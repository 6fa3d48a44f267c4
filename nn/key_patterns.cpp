#include <brume/nn/key_patterns.h>

#include <algorithm>
#include <optional>

#include <brume/core/error.h>

namespace brume::nn {
namespace {

using Texts = std::vector<std::string_view>;

// What each '*' of the pattern stands for, or nothing if the text does not fit.
std::optional<Texts> starred_texts(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) return text == pattern ? std::optional<Texts>(Texts{}) : std::nullopt;
  if (text.substr(0, star) != pattern.substr(0, star)) return std::nullopt;
  const std::string_view behind = pattern.substr(star + 1), rest = text.substr(star);
  // Where the text behind the star can begin: before its first literal part, or at the end.
  const std::string_view literal = behind.substr(0, behind.find('*'));
  for (size_t at = 0; at <= rest.size(); ++at) {
    at = literal.size() == behind.size() ? rest.size() - std::min(rest.size(), literal.size())
                                         : rest.find(literal, at);
    if (at > rest.size()) return std::nullopt;
    if (std::optional<Texts> texts = starred_texts(behind, rest.substr(at))) {
      texts->insert(texts->begin(), rest.substr(0, at));
      return texts;
    }
    if (literal.size() == behind.size()) return std::nullopt;
  }
  return std::nullopt;
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
