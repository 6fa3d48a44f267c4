#pragma once
// One process at a time.

#include <string>

#include <brume/core/io/fs.h>

namespace brume::io {

/// Holds `path` (made if missing) for this process as long as the object lives; the system lets go
/// of it when the process ends in any way, so a left-over file never blocks.
/// @throws IoError naming the owner's process id if somebody else holds it
class LockFile {
 public:
  explicit LockFile(const std::string& path);

 private:
  File file_;
};

}  // namespace brume::io
