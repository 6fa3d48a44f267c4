#pragma once
// The one way to read bytes that somebody else wrote: nothing is taken that is not there, and sizes
// do not wrap.

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include <brume/core/error.h>

namespace brume::io {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and so must be the machine");

/// a * b. @throws FormatError naming `who` if it does not fit 64 bits
inline uint64_t mul_size(uint64_t a, uint64_t b, std::string_view who) {
  check<FormatError>(b == 0 || a <= std::numeric_limits<uint64_t>::max() / b, who, ": ", a,
                     " times ", b, " is more than 64 bits hold");
  return a * b;
}

/// a + b. @throws FormatError naming `who` if it does not fit 64 bits
inline uint64_t add_size(uint64_t a, uint64_t b, std::string_view who) {
  check<FormatError>(a <= std::numeric_limits<uint64_t>::max() - b, who, ": ", a, " plus ", b,
                     " is more than 64 bits hold");
  return a + b;
}

/// A position in bytes that belong to somebody else. `who` names them in errors, usually a path.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string who)
      : bytes_(bytes), who_(std::move(who)) {}
  ByteReader(std::string_view text, std::string who)
      : ByteReader(std::as_bytes(std::span(text.data(), text.size())), std::move(who)) {}

  const std::string& who() const { return who_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  bool at_end() const { return remaining() == 0; }

  /// The next `count` bytes. @throws FormatError if fewer are left
  std::span<const std::byte> take(uint64_t count) {
    check<FormatError>(count <= remaining(), who_, ": wanted ", count, " bytes at offset ",
                       position_, ", but only ", remaining(), " are left");
    const auto out = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += out.size();
    return out;
  }
  std::string_view take_text(uint64_t count) {
    const auto bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// A little-endian number.
  template <class T>
  requires(std::integral<T> || std::floating_point<T>) T take_little() {
    T out;
    std::memcpy(&out, take(sizeof(T)).data(), sizeof(T));
    return out;
  }
  /// Continues at `position`, counted from the start.
  void seek(uint64_t position) {
    check<FormatError>(position <= bytes_.size(), who_, ": offset ", position, " is beyond its ",
                       bytes_.size(), " bytes");
    position_ = static_cast<size_t>(position);
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  std::string who_;
};

}  // namespace brume::io
