#include <brume/core/io/atomic_file.h>

#include <atomic>
#include <charconv>
#include <optional>
#include <utility>

#include <brume/core/error.h>

namespace brume::io {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;

// The process id keeps processes apart, the count threads; names never grow with the target's.
constexpr std::string_view kPrefix = ".brume-", kSuffix = ".tmp";

std::string temporary_name(uint64_t count) {
  return cat(kPrefix, process_id(), "-", count, kSuffix);
}

// The process that a temporary is named after; nothing for other names.
std::optional<int64_t> owner_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return {};
  name.remove_prefix(kPrefix.size());
  int64_t owner = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), owner);
  if (error != std::errc() || owner <= 0 || *end != '-') return {};
  return owner;
}

std::pair<std::string, File> create_temporary(const std::string& path) {
  const FileStatus target = file_status(path);
  check<IoError>(target.kind == FileKind::missing || target.kind == FileKind::regular,
                 "cannot write '", path, "': it is ", target.kind);
  static std::atomic<uint64_t> count{0};
  for (;;) {
    std::string name = join_path(folder_of(path), temporary_name(++count));
    if (auto file = File::try_create(name, path)) return {std::move(name), std::move(*file)};
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : AtomicFile(path, create_temporary(path)) {}

AtomicFile::AtomicFile(const std::string& path, std::pair<std::string, File> temporary)
    : path_(path),
      temporary_name_(std::move(temporary.first)),
      file_(std::move(temporary.second)) {}

AtomicFile::~AtomicFile() {
  if (!renamed_) system_calls().remove(temporary_name_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (bytes.size() > kBufferBytes - buffer_.size()) flush();
  if (bytes.size() >= kBufferBytes)
    file_.write(bytes);
  else
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  flush();
  file_.write_at(offset, bytes);
}

void AtomicFile::flush() {
  file_.write(buffer_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  file_.sync();
  file_.close();
  rename_file(temporary_name_, path_);
  renamed_ = true;
  sync_folder(folder_of(path_));
}

void write_file(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void check_can_write(const std::string& path) { const AtomicFile temporary(path); }

void remove_temporaries(const std::string& folder) {
  for (const std::string& name : list_folder(folder)) {
    const std::optional<int64_t> owner = owner_of(name);
    if (owner && !is_running(*owner)) remove_file(join_path(folder, name));
  }
}

}  // namespace brume::io
