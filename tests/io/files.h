#pragma once
// The bytes of a test's files.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <brume/core/tensor.h>

#include "tests/temporary_folder.h"

namespace brume::test {

/// Writes and reads without the library, so that tests do not prove it by itself.
void put(const std::string& path, std::string_view bytes);
std::string get(const std::string& path);

/// The text of what f throws; empty if it throws nothing.
template <class E, class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "";
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

/// `n` bytes of a number, least first.
std::string little(uint64_t value, int n);

/// The tensor's elements in logical order as bytes.
std::string bytes_of(const Tensor& x);

/// A safetensors file of that header and data.
std::string safetensors_bytes(std::string_view header, std::string_view data);
/// An npy file of that header text and data.
std::string npy_bytes(std::string_view header, std::string_view data, int major = 1);

}  // namespace brume::test
