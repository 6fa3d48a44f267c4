#include "tests/io/files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace brume::test {

void put(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

std::string get(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string little(uint64_t value, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string bytes_of(const Tensor& x) {
  const Tensor plain = transfer(relayout(x, Layout::row_major), kCpu);
  return {static_cast<const char*>(plain.data()),
          static_cast<size_t>(plain.numel() * item_size(plain.dtype()))};
}

std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return little(header.size(), 8) + std::string(header) + std::string(data);
}

std::string npy_bytes(std::string_view header, std::string_view data, int major) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(major);
  out += '\0';
  out += little(header.size(), major == 1 ? 2 : 4);
  return out + std::string(header) + std::string(data);
}

}  // namespace brume::test
