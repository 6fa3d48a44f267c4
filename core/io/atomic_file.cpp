#include <brume/core/io/atomic_file.h>

#include <atomic>

#include <brume/core/error.h>

namespace brume::io {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;

// The process id keeps processes apart, the count threads; names never grow with the target's.
constexpr std::string_view kPrefix = ".brume-", kSuffix = ".tmp";

File create_temporary(const std::string& path) {
  const FileStatus target = file_status(path);
  check<IoError>(target.kind == FileKind::missing || target.kind == FileKind::regular,
                 "cannot write '", path, "': it is ", target.kind);
  static std::atomic<uint64_t> count{0};
  for (;;) {
    const std::string name = cat(kPrefix, process_id(), "-", ++count, kSuffix);
    if (auto file = File::try_create(join_path(folder_of(path), name))) return std::move(*file);
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(create_temporary(path)) {}

AtomicFile::~AtomicFile() {
  if (!renamed_) system_calls().remove(temporary_.path().c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (bytes.size() > kBufferBytes - buffer_.size()) flush();
  if (bytes.size() >= kBufferBytes)
    temporary_.write(bytes);
  else
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  flush();
  temporary_.write_at(offset, bytes);
}

void AtomicFile::flush() {
  temporary_.write(buffer_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  temporary_.sync();
  temporary_.close();
  rename_file(temporary_.path(), path_);
  renamed_ = true;
  sync_folder(folder_of(path_));
}

void write_file(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void remove_temporaries(const std::string& folder) {
  for (const std::string& name : list_folder(folder))
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix)) remove_file(join_path(folder, name));
}

}  // namespace brume::io
