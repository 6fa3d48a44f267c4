#pragma once
// Safetensors: named tensors behind a JSON header. docs/formats/safetensors.md tells the format.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <brume/core/io/stored_array.h>
#include <brume/core/tensor.h>

namespace brume::io {

/// Strings that travel with the tensors, in the order of their keys.
using Metadata = std::map<std::string, std::string, std::less<>>;

struct SafetensorsOptions {
  uint64_t max_header_bytes = uint64_t{16} << 20;
  /// Tensors and metadata together.
  uint64_t max_entries = uint64_t{1} << 17;
  /// Accept bytes behind the last tensor.
  bool allow_trailing_bytes = false;
  /// Let read() give tensors that are the file's pages, read when touched and never written back.
  /// Only while nobody shortens the file: touching a page that is gone ends the process.
  bool map = false;
};

struct SafetensorsEntry {
  std::string name;
  StoredArray array;
};

/// A safetensors file whose header has been checked whole: every entry can be read, in any order
/// and from several threads.
class SafetensorsFile {
 public:
  const std::string& path() const { return file_.path(); }
  const Metadata& metadata() const { return metadata_; }
  /// In the order of the header.
  std::span<const SafetensorsEntry> entries() const { return entries_; }
  /// Null if there is none of that name.
  const SafetensorsEntry* find(std::string_view name) const;

  /// A new tensor. @throws FormatError if there is none of that name
  Tensor read(std::string_view name) const;
  Tensor read(const SafetensorsEntry& entry) const;
  /// Into memory that exists: x keeps its device, layout and dtype (values are converted).
  /// @throws ShapeError if the shapes differ; as read() and copy_
  void read_into(std::string_view name, const Tensor& x) const;

 private:
  friend SafetensorsFile open_safetensors(const std::string&, const SafetensorsOptions&);
  explicit SafetensorsFile(File file) : file_(std::move(file)) {}
  const SafetensorsEntry& at(std::string_view name) const;
  std::string who(const SafetensorsEntry& entry) const;

  File file_;
  std::shared_ptr<const Mapping> mapping_;
  Metadata metadata_;
  std::vector<SafetensorsEntry> entries_;
  std::vector<uint32_t> by_name_;  // indices of entries_, sorted by name
};

/// Reads and checks the header, and no tensor.
/// @throws IoError; FormatError saying what is wrong and where
SafetensorsFile open_safetensors(const std::string& path, const SafetensorsOptions& options = {});

/// All tensors of a file.
std::vector<std::pair<std::string, Tensor>> load_safetensors(
    const std::string& path, const SafetensorsOptions& options = {});

/// Writes tensors of any device and layout, in logical (row-major) order, through AtomicFile. The
/// header keeps the order given; the data lie aligned, larger elements first.
/// @throws IoError; FormatError on a name given twice, reserved, or not UTF-8
void save_safetensors(const std::string& path,
                      std::span<const std::pair<std::string, Tensor>> tensors,
                      const Metadata& metadata = {});

}  // namespace brume::io
