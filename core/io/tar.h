#pragma once
// Tar archives, uncompressed, for reading.

#include <cstdint>
#include <string>
#include <vector>

#include <brume/core/io/byte_source.h>

namespace brume::io {

struct TarOptions {
  uint64_t max_entries = 1024;
};

struct TarEntry {
  std::string name;
  uint64_t offset, bytes;  // of its content in the archive
};

/// Whether the bytes begin like a tar archive.
bool is_tar(const ByteSource& archive);

/// The files in an archive of the POSIX or the GNU kind; folders are left out.
/// @throws FormatError on anything else (links, devices), a wrong checksum, a name that is there
///         twice or leaves the archive's folder, a member that reaches beyond the end
std::vector<TarEntry> read_tar(const ByteSource& archive, const TarOptions& options = {});

}  // namespace brume::io
