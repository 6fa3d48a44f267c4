#pragma once
// Tables that turn the keys of somebody's state dict into those of a module.

#include <string>
#include <string_view>
#include <vector>

namespace brume::nn {

/// '*' stands for any text, as short as will do; the i-th of `to` is what the i-th of `from` was:
/// {"encoder.*.conv.*", "enc.*_conv.*"}. An empty `to` drops the key.
struct KeyPattern {
  std::string from, to;
};
using KeyTable = std::vector<KeyPattern>;

/// What the first pattern that fits makes of a key; itself where none does; "" if it is dropped.
/// @throws Error if a `to` has more '*' than its `from`
std::string renamed_key(std::string_view key, const KeyTable& table);

/// Whether the text is what a pattern describes, '*' standing for any text.
bool fits_pattern(std::string_view text, std::string_view pattern);

}  // namespace brume::nn
