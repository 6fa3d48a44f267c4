#pragma once
// Fillings that make a mistake visible: NaN in what nobody has written yet, and a pattern that must
// stay as it is beside what may be written.

#include <cstddef>
#include <cstring>

namespace brume::cuda::emu {

/// NaN as f64, f32, f16 and bf16; -1 as an integer.
inline void poison(std::byte* data, size_t bytes) { std::memset(data, 0xff, bytes); }

inline constexpr std::byte kWatched{0xa5};

inline void watch(std::byte* begin, std::byte* end) {
  std::memset(begin, static_cast<int>(kWatched), static_cast<size_t>(end - begin));
}
/// The first watched byte that was written, or null.
inline const std::byte* first_change(const std::byte* begin, const std::byte* end) {
  for (; begin < end; ++begin)
    if (*begin != kWatched) return begin;
  return nullptr;
}

}  // namespace brume::cuda::emu
