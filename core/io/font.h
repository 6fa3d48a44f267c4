#pragma once

#include <array>
#include <cstdint>

namespace brume::io {

inline constexpr int kGlyphWidth = 5, kGlyphHeight = 7;

/// Columns of a printable ASCII character from left to right, lowest bit on top; others are blank.
std::array<uint8_t, kGlyphWidth> glyph(char c);

}  // namespace brume::io
