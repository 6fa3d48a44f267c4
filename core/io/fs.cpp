#include <brume/core/io/fs.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <system_error>
#include <utility>

#include <brume/core/error.h>
#include <brume/core/io/quote.h>

namespace brume::io {
namespace {

FileStatus from_stat(const struct stat& s) {
  return {S_ISREG(s.st_mode)   ? FileKind::regular
          : S_ISDIR(s.st_mode) ? FileKind::folder
                               : FileKind::other,
          static_cast<uint64_t>(s.st_size)};
}

int status_of_path(const char* path, FileStatus* status) {
  struct stat s;
  const int result = ::stat(path, &s);
  if (result == 0) *status = from_stat(s);
  return result;
}

int status_of_file(int file, FileStatus* status) {
  struct stat s;
  const int result = ::fstat(file, &s);
  if (result == 0) *status = from_stat(s);
  return result;
}

int list_names(const char* path, std::vector<std::string>* names) {
  names->clear();
  DIR* folder = ::opendir(path);
  if (!folder) return -1;
  errno = 0;  // readdir tells its end from an error by errno alone
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names->emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(folder);
  errno = error;
  return error == 0 ? 0 : -1;
}

void* map_privately(int file, size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  return data == MAP_FAILED ? nullptr : data;
}

SystemCalls posix_calls() {
  return {.open = [](const char* path, int flags,
                     unsigned mode) { return ::open(path, flags | O_CLOEXEC, mode); },
          .close = ::close,
          .read = [](int file, void* data, size_t bytes, int64_t offset) -> int64_t {
            return ::pread(file, data, bytes, offset);
          },
          .write = [](int file, const void* data, size_t bytes) -> int64_t {
            return ::write(file, data, bytes);
          },
          .write_at = [](int file, const void* data, size_t bytes, int64_t offset) -> int64_t {
            return ::pwrite(file, data, bytes, offset);
          },
          .sync = ::fsync,
          .lock = [](int file) { return ::flock(file, LOCK_EX | LOCK_NB); },
          .status = status_of_path,
          .file_status = status_of_file,
          .map = map_privately,
          .unmap = ::munmap,
          .rename = ::rename,
          .remove = ::unlink,
          .make_folder = [](const char* path, unsigned mode) { return ::mkdir(path, mode); },
          .list = list_names,
          .is_running =
              [](int64_t process) {
                return ::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM;
              }};
}

[[noreturn]] void fail(const char* verb, const std::string& path, const std::string& reason) {
  throw IoError(cat("cannot ", verb, " '", path, "': ", reason));
}

[[noreturn]] void fail_by_errno(const char* verb, const std::string& path) {
  fail(verb, path, std::generic_category().message(errno));
}

template <class Call>
auto uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// The result of a call that must succeed; an error says "cannot <verb> '<path>': <reason>".
template <class Call>
auto demand(const char* verb, const std::string& path, Call call) {
  const auto result = uninterrupted(call);
  if (result < 0) fail_by_errno(verb, path);
  return result;
}

// The system ends a path at its first NUL and would see another one.
const char* system_path(const std::string& path) {
  check<IoError>(path.find('\0') == std::string::npos, "a path has no NUL byte, got ", quote(path));
  return path.c_str();
}

int open_handle(const std::string& path, int flags) {
  const char* name = system_path(path);
  return uninterrupted([&] { return system_calls().open(name, flags, 0666); });
}

constexpr size_t kLargestTransfer = size_t{1} << 30;  // Linux moves at most 2 GB per call

}  // namespace

const char* to_string(FileKind kind) {
  switch (kind) {
    case FileKind::missing:
      return "missing";
    case FileKind::regular:
      return "a file";
    case FileKind::folder:
      return "a folder, not a file";
    default:
      return "a pipe or a device, not a file";
  }
}

SystemCalls& system_calls() {
  static SystemCalls calls = posix_calls();
  return calls;
}

// Without O_NONBLOCK, opening a pipe would wait for its other end; regular files ignore it.
File File::open(const std::string& path, int flags) {
  File file(path);
  file.handle_ = open_handle(path, flags | O_NONBLOCK);
  if (file.handle_ < 0) fail_by_errno("open", path);
  FileStatus status;
  demand("open", path, [&] { return system_calls().file_status(file.handle_, &status); });
  if (status.kind != FileKind::regular) fail("open", path, cat("it is ", status.kind));
  return file;
}

File File::open(const std::string& path) { return open(path, O_RDONLY); }
File File::append(const std::string& path) { return open(path, O_RDWR | O_CREAT | O_APPEND); }
File File::update(const std::string& path) { return open(path, O_RDWR | O_CREAT); }

std::optional<File> File::try_create(const std::string& path, const std::string& known_as) {
  File file(known_as);
  file.handle_ = open_handle(path, O_WRONLY | O_CREAT | O_EXCL);
  if (file.handle_ >= 0) return file;
  if (errno != EEXIST) fail_by_errno("create", known_as);
  return std::nullopt;
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(handle_, other.handle_);
  return *this;
}

File::~File() {
  if (handle_ >= 0) system_calls().close(handle_);
}

uint64_t File::size() const {
  FileStatus status;
  demand("read", path_, [&] { return system_calls().file_status(handle_, &status); });
  return status.bytes;
}

void File::read(uint64_t offset, std::span<std::byte> out) const {
  constexpr auto kLast = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (out.size() > kLast || offset > kLast - out.size())
    fail("read", path_, cat("it has no offset ", offset));
  while (!out.empty()) {
    const int64_t count = demand("read", path_, [&] {
      return system_calls().read(handle_, out.data(), std::min(out.size(), kLargestTransfer),
                                 static_cast<int64_t>(offset));
    });
    if (count == 0) fail("read", path_, cat("it ends at byte ", offset));
    out = out.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
}

void File::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const int64_t count = demand("write", path_, [&] {
      return system_calls().write(handle_, bytes.data(), std::min(bytes.size(), kLargestTransfer));
    });
    if (count == 0) fail("write", path_, "the system takes no more bytes");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void File::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const int64_t count = demand("write", path_, [&] {
      return system_calls().write_at(handle_, bytes.data(),
                                     std::min(bytes.size(), kLargestTransfer),
                                     static_cast<int64_t>(offset));
    });
    if (count == 0) fail("write", path_, "the system takes no more bytes");
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
}

void File::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void File::sync() {
  demand("sync", path_, [&] { return system_calls().sync(handle_); });
}

bool File::try_lock() {
  if (uninterrupted([&] { return system_calls().lock(handle_); }) == 0) return true;
  if (errno != EWOULDBLOCK) fail_by_errno("lock", path_);
  return false;
}

void File::close() {
  // An interrupted close has closed: repeating it could close somebody else's handle.
  if (system_calls().close(std::exchange(handle_, -1)) < 0 && errno != EINTR)
    fail_by_errno("close", path_);
}

Mapping::Mapping(const File& file, uint64_t bytes) : size_(static_cast<size_t>(bytes)) {
  if (size_ == 0) return;
  data_ = static_cast<std::byte*>(system_calls().map(file.handle_, size_));
  if (!data_) fail_by_errno("map", file.path());
}

Mapping::~Mapping() {
  if (data_) system_calls().unmap(data_, size_);
}

std::string read_file(const std::string& path, uint64_t limit) {
  const File file = File::open(path);
  const uint64_t size = file.size();
  if (size > limit)
    fail("read", path, cat("it has ", size, " bytes, and at most ", limit, " are allowed here"));
  std::string out(static_cast<size_t>(size), '\0');
  file.read(0, std::as_writable_bytes(std::span(out)));
  return out;
}

FileStatus file_status(const std::string& path) {
  FileStatus status;
  const char* name = system_path(path);
  if (uninterrupted([&] { return system_calls().status(name, &status); }) == 0) return status;
  if (errno == ENOENT || errno == ENOTDIR) return {};
  fail_by_errno("look at", path);
}

void rename_file(const std::string& from, const std::string& to) {
  const char *old_name = system_path(from), *new_name = system_path(to);
  demand("rename to", to, [&] { return system_calls().rename(old_name, new_name); });
}

void remove_file(const std::string& path) {
  const char* name = system_path(path);
  demand("remove", path, [&] { return system_calls().remove(name); });
}

void make_folders(const std::string& path) {
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string folder = path.substr(0, end);
    const char* name = system_path(folder);
    if (uninterrupted([&] { return system_calls().make_folder(name, 0777); }) == 0) continue;
    const int error = errno;  // a folder that exists may be refused in other ways than EEXIST
    const FileKind kind = file_status(folder).kind;
    if (kind == FileKind::folder) continue;
    if (kind != FileKind::missing) fail("make folder", folder, cat("it is ", kind));
    errno = error;
    fail_by_errno("make folder", folder);
  }
}

std::vector<std::string> list_folder(const std::string& path) {
  std::vector<std::string> names;
  const char* name = system_path(path);
  demand("list", path, [&] { return system_calls().list(name, &names); });
  std::sort(names.begin(), names.end());
  return names;
}

void sync_folder(const std::string& path) {
  const int handle = open_handle(path, O_RDONLY | O_DIRECTORY);
  if (handle < 0) fail_by_errno("sync", path);
  const int result = uninterrupted([&] { return system_calls().sync(handle); });
  const int error = errno;
  system_calls().close(handle);
  errno = error;
  // Some network file systems have no such call and answer EINVAL; their renames are durable.
  if (result < 0 && error != EINVAL) fail_by_errno("sync", path);
}

int64_t process_id() { return ::getpid(); }

bool is_running(int64_t process) { return system_calls().is_running(process); }

std::string join_path(const std::string& folder, const std::string& name) {
  return folder.empty() || folder.back() == '/' ? folder + name : cat(folder, "/", name);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace brume::io
