#pragma once
// The only door to the disk. Whatever reads or writes a file comes through here, so that a test can
// let any operation fail.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brume::io {

enum class FileKind { missing, regular, folder, other };
const char* to_string(FileKind kind);  // as the end of "it is …"

struct FileStatus {
  FileKind kind = FileKind::missing;
  uint64_t bytes = 0;
};

/// The calls of the operating system that this door makes, and no others. Each returns a negative
/// number (map: null) and sets errno when it fails. Tests put failing ones in.
struct SystemCalls {
  int (*open)(const char* path, int flags, unsigned mode);
  int (*close)(int file);
  int64_t (*read)(int file, void* data, size_t bytes, int64_t offset);
  int64_t (*write)(int file, const void* data, size_t bytes);
  int64_t (*write_at)(int file, const void* data, size_t bytes, int64_t offset);
  int (*sync)(int file);
  int (*lock)(int file);  // exclusive, does not wait, ends with the process
  int (*status)(const char* path, FileStatus* status);
  int (*file_status)(int file, FileStatus* status);
  void* (*map)(int file, size_t bytes);  // private pages
  int (*unmap)(void* data, size_t bytes);
  int (*rename)(const char* from, const char* to);
  int (*remove)(const char* path);
  int (*make_folder)(const char* path, unsigned mode);
  int (*list)(const char* path, std::vector<std::string>* names);
  bool (*is_running)(int64_t process);
};
/// The calls in use. Change them only while no other thread does I/O.
SystemCalls& system_calls();

/// An open regular file. Every error is an IoError that holds the path and the system's reason;
/// interrupted calls are repeated and short reads and writes continued.
class File {
 public:
  /// For reading. @throws IoError also if it is a folder, a pipe or a device
  static File open(const std::string& path);
  /// For writing, where nothing stands yet; nothing if something does. Its errors name `known_as`:
  /// the file that it becomes, as a user wrote it.
  static std::optional<File> try_create(const std::string& path, const std::string& known_as);
  /// For writing at its end; made if missing.
  static File append(const std::string& path);
  /// For reading, and for writing from its start over what is there; made if missing.
  static File update(const std::string& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::string& path() const { return path_; }
  /// Bytes it has now.
  uint64_t size() const;
  /// Fills `out` from `offset` on. @throws IoError if the file ends before
  void read(uint64_t offset, std::span<std::byte> out) const;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Over bytes from `offset` on; where write() goes on does not change.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  /// Waits until the bytes are on the disk.
  void sync();
  /// Claims it until it is closed; false if somebody else has it.
  bool try_lock();
  /// Closes and reports what the destructor would swallow.
  void close();

 private:
  friend class Mapping;
  explicit File(const std::string& path) : path_(path) {}
  static File open(const std::string& path, int flags);
  std::string path_;
  int handle_ = -1;
};

/// A file's bytes as memory, read when touched. Writing changes this process's copy alone. Touching
/// a part that another process has cut off the file meanwhile ends this process.
class Mapping {
 public:
  Mapping(const File& file, uint64_t bytes);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// A whole file. @throws IoError also if it has more than `limit` bytes
std::string read_file(const std::string& path, uint64_t limit);

/// Missing is an answer; only a refusal (such as no permission) throws.
FileStatus file_status(const std::string& path);
void rename_file(const std::string& from, const std::string& to);
void remove_file(const std::string& path);
/// Makes the folder and those above it; none of them missing is no error.
void make_folders(const std::string& path);
/// Names (not paths) in a folder, sorted.
std::vector<std::string> list_folder(const std::string& path);
/// Waits until renames and removals in a folder are on the disk.
void sync_folder(const std::string& path);

/// The system's number of this process.
int64_t process_id();
/// Whether a process of that number runs on this machine.
bool is_running(int64_t process);

/// "a/b" and "c" give "a/b/c".
std::string join_path(const std::string& folder, const std::string& name);
/// The folder that holds `path`: "a/b" of "a/b/c", "." of "c".
std::string folder_of(const std::string& path);
/// The last part: "c" of "a/b/c".
std::string name_of(const std::string& path);

}  // namespace brume::io
