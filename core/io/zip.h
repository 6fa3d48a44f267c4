#pragma once
// Zip archives, through libzip.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <brume/core/io/atomic_file.h>
#include <brume/core/io/byte_source.h>
#include <brume/core/tensor.h>

namespace brume::io {

/// Whether this build has zip; with BRUME_ZIP=OFF the functions below raise Error.
bool has_zip();

struct ZipOptions {
  uint64_t max_entries = uint64_t{1} << 17;
  /// How many bytes the unpacked members may have beyond those of the archive.
  uint64_t max_inflation = uint64_t{16} << 20;
};

struct ZipEntry {
  std::string name;
  uint64_t bytes;   // unpacked
  bool compressed;  // by deflate, the one method that is read
  uint64_t index;   // in the archive's list of members
};

/// An archive whose list of members has been checked: unique names that stay in their folder, no
/// encryption, no overlaps. Several threads may read at once.
/// @throws IoError; FormatError from every function, with libzip's reason
class ZipFile {
 public:
  explicit ZipFile(std::shared_ptr<const ByteSource> archive, const ZipOptions& options = {});

  const std::string& who() const;
  std::span<const ZipEntry> entries() const { return entries_; }
  /// Null if there is none of that name.
  const ZipEntry* find(std::string_view name) const;
  /// @throws FormatError if there is none of that name
  const ZipEntry& at(std::string_view name) const;

  /// A whole member, its checksum verified, into as many bytes as it has.
  void read(const ZipEntry& entry, std::span<std::byte> out) const;
  /// A whole member of at most `limit` bytes, its checksum verified.
  std::string read_text(const ZipEntry& entry, uint64_t limit) const;
  /// A member to be read in parts. What is stored stays in the archive and its checksum is not
  /// verified; what is compressed is unpacked into memory first.
  std::shared_ptr<const ByteSource> open(const ZipEntry& entry) const;

 private:
  class Handles;
  std::shared_ptr<Handles> handles_;
  std::vector<ZipEntry> entries_;
  std::vector<uint32_t> by_name_;  // indices of entries_, sorted by name
};

/// A text, or a tensor's elements in row-major order.
struct ZipMember {
  std::string name;
  std::variant<std::string, Tensor> content;
};

/// Writes an archive of stored (not compressed) members. Each one's bytes begin at a multiple of
/// `alignment`, as far as the archive stays below 4 GB.
/// @throws IoError; FormatError with libzip's reason
void write_zip(AtomicFile& file, std::span<const ZipMember> members, uint64_t alignment = 1);
/// The same in memory.
std::string zip_bytes(std::span<const ZipMember> members, uint64_t alignment = 1);

}  // namespace brume::io
