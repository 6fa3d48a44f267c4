#include <brume/core/io/lock_file.h>

#include <brume/core/error.h>

namespace brume::io {
namespace {

// A fixed width, so that a shorter id leaves nothing of a longer one behind.
std::string owner_record() {
  std::string digits = std::to_string(process_id());
  return std::string(19 - digits.size(), ' ') + digits + "\n";
}

std::string owner_of(const File& file) {
  std::string record(static_cast<size_t>(file.size()), '\0');
  file.read(0, std::as_writable_bytes(std::span(record)));
  const size_t start = record.find_first_of("0123456789");
  if (record.size() != owner_record().size() || start == std::string::npos)
    return "another process";
  return "process " + record.substr(start, record.size() - start - 1);
}

}  // namespace

LockFile::LockFile(const std::string& path) : file_(File::update(path)) {
  if (!file_.try_lock())
    throw IoError(cat("'", folder_of(path), "' is in use by ", owner_of(file_),
                      "; wait for it to end, or choose another folder"));
  file_.write(owner_record());
}

}  // namespace brume::io
