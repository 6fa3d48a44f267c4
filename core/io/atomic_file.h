#pragma once
// A file that appears whole or not at all.

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <brume/core/io/fs.h>

namespace brume::io {

/// Collects bytes in a temporary file beside `path`; commit() puts it in place of `path`, so that a
/// reader, a crash or a full disk at any moment leaves the old bytes or the new ones. Without
/// commit() the temporary goes and `path` is untouched.
/// @throws IoError from every function, naming `path`
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Over bytes that were written before, from `offset` on.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  void commit();

 private:
  AtomicFile(const std::string& path, std::pair<std::string, File> temporary);
  void flush();
  std::string path_, temporary_name_;
  File file_;
  std::vector<std::byte> buffer_;  // many small writes become few
  bool renamed_ = false;
};

/// Writes a whole file through AtomicFile.
void write_file(const std::string& path, std::string_view bytes);

/// Before work that ends in such a file: what would keep it from being begun, a folder that is
/// missing or may not be written into. @throws IoError
void check_can_write(const std::string& path);

/// Removes what AtomicFiles of processes that no longer run on this machine left in `folder`.
void remove_temporaries(const std::string& folder);

}  // namespace brume::io
