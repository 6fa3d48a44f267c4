#pragma once
// What the library throws, and how a message is put together.

#include <charconv>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>

namespace brume {

/// Base of everything that the library throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
/// Shapes, ranks, sizes, ranges of arguments.
class ShapeError : public Error {
 public:
  using Error::Error;
};
/// An element type that an operation does not take, or two that differ.
class DTypeError : public Error {
 public:
  using Error::Error;
};
/// Tensors on different devices, a missing device, a missing kernel.
class DeviceError : public Error {
 public:
  using Error::Error;
};
/// Misuse of gradients: a saved value changed, a graph already freed, no second derivative.
class GradError : public Error {
 public:
  using Error::Error;
};
/// Bytes, JSON or a file that is not what its format says.
class FormatError : public Error {
 public:
  using Error::Error;
};
/// The operating system refused: the message holds the path and the system's reason.
class IoError : public Error {
 public:
  using Error::Error;
};
/// An error of the CUDA runtime or one of its libraries.
class CudaError : public Error {
 public:
  using Error::Error;
};

namespace detail {

inline void append(std::string& out, std::string_view text) { out += text; }
inline void append(std::string& out, const char* text) { out += text; }
inline void append(std::string& out, char c) { out += c; }
inline void append(std::string& out, bool b) { out += b ? "true" : "false"; }

// Numbers never pass through a locale: a message reads the same everywhere.
template <class T>
requires(std::integral<T> || std::floating_point<T>) void append(std::string& out, T number) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  out.append(text, end);
}

// Anything else says itself through to_string, found beside its type.
template <class T>
requires requires(const T& value) {
  { to_string(value) } -> std::convertible_to<std::string>;
}
void append(std::string& out, const T& value) { out += to_string(value); }

}  // namespace detail

template <class T>
concept Printable = requires(std::string& out, const T& part) {
  detail::append(out, part);
};

/// Joins its arguments into one string; stands in for <format>, which GCC 12 lacks. (Constrained,
/// since tensors have a cat of their own.)
template <Printable... T>
std::string cat(const T&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

/// Throws E with the joined parts unless `ok`. The message says who, what was wanted, what came.
template <class E = ShapeError, class... T>
void check(bool ok, const T&... parts) {
  if (!ok) [[unlikely]]
    throw E(cat(parts...));
}

}  // namespace brume
