#include <brume/nn/nearest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <brume/core/error.h>

namespace brume::nn {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Insertions, removals and replacements that turn a into b; capitals are small letters.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggestion(std::string_view wanted, std::span<const std::string_view> names) {
  wanted = wanted.substr(0, 100);  // a file may hold any text
  std::string_view nearest;
  size_t distance = wanted.size() / 2 + 1;  // further away it is no misspelling
  for (const std::string_view name : names) {
    const size_t d = edit_distance(wanted, name);
    if (d < distance) distance = d, nearest = name;
  }
  if (!nearest.empty()) return cat("; did you mean '", nearest, "'?");
  constexpr size_t kMostListed = 30;
  if (names.size() > kMostListed)
    return cat("; none of the ", names.size(), " known names is like it");
  std::string known;
  for (const std::string_view name : names) known += cat(known.empty() ? "" : ", ", name);
  return cat("; known are ", known);
}

}  // namespace brume::nn
