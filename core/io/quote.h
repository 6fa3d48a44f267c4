#pragma once
// Text from a file, fit to stand in an error message: short, one line, plain ASCII.

#include <string>
#include <string_view>

namespace brume::io {

/// At most `limit` bytes of `text`, with "..." where it was cut; bytes that are not printable ASCII
/// as \xNN.
std::string printable(std::string_view text, size_t limit = 80);
/// printable(text) in single quotes.
std::string quote(std::string_view text);

}  // namespace brume::io
