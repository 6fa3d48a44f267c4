#include "tests/io/fake_disk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace brume::test {
namespace {

FakeDisk* active = nullptr;

int refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

FakeDisk::FakeDisk() : real_(io::system_calls()) {
  active = this;
  io::system_calls() = calls_table();
}

FakeDisk::~FakeDisk() {
  io::system_calls() = real_;
  active = nullptr;
}

FakeDisk& FakeDisk::current() { return *active; }

void FakeDisk::add(const std::string& path, const std::string& bytes) {
  names_[path] = synced_names_[path] = std::make_shared<Inode>(Inode{bytes, bytes});
}

std::map<std::string, std::string> FakeDisk::files() const {
  std::map<std::string, std::string> out;
  for (const auto& [path, inode] : names_) out[path] = inode->bytes;
  return out;
}

std::map<std::string, std::string> FakeDisk::after_power_cut(bool names_written) const {
  std::map<std::string, std::string> out;
  for (const auto& [path, inode] : names_written ? names_ : synced_names_)
    out[path] = inode->synced;
  return out;
}

void FakeDisk::restart() {
  call_ = 0;
  kill_at_ = fail_at_ = full_from_ = -1;
  dead_ = is_full_ = false;
}

// Counts the call and says whether it must fail (errno is set).
bool FakeDisk::fails(bool takes_bytes) {
  const int call = call_++;
  if (dead_) return refuse(EIO) < 0;
  if (call == kill_at_) {
    dead_ = true;
    throw Killed();
  }
  if (is_full_ && takes_bytes) return refuse(ENOSPC) < 0;
  if (call == fail_at_) return refuse(error_) < 0;
  return false;
}

bool FakeDisk::is_folder(const std::string& path) const {
  return std::any_of(names_.begin(), names_.end(),
                     [&](const auto& n) { return n.first.starts_with(path + "/"); });
}

io::SystemCalls FakeDisk::calls_table() {
  using io::FileKind;
  io::SystemCalls table = {};
  table.open = [](const char* path, int flags, unsigned) -> int {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    const auto found = disk.names_.find(path);
    Open open{.file = {}, .path = path, .appends = (flags & O_APPEND) != 0};
    if (found != disk.names_.end()) {
      if ((flags & O_EXCL) != 0) return refuse(EEXIST);
      open.file = found->second;
    } else if ((flags & O_CREAT) != 0) {
      open.file = disk.names_[path] = std::make_shared<Inode>();
    } else if (!disk.is_folder(path)) {
      return refuse(ENOENT);
    }
    disk.open_[disk.next_handle_] = open;
    return disk.next_handle_++;
  };
  table.close = [](int file) -> int {
    FakeDisk& disk = current();
    disk.open_.erase(file);  // also when it reports an error
    return disk.fails() ? -1 : 0;
  };
  table.read = [](int file, void* data, size_t bytes, int64_t offset) -> int64_t {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    const std::string& from = disk.open_.at(file).file->bytes;
    const auto begin = std::min(static_cast<size_t>(offset), from.size());
    const size_t count = std::min({bytes, from.size() - begin, disk.largest_transfer_});
    std::memcpy(data, from.data() + begin, count);
    return static_cast<int64_t>(count);
  };
  table.write = [](int file, const void* data, size_t bytes) -> int64_t {
    FakeDisk& disk = current();
    if (disk.fails(true)) return -1;
    size_t count = std::min(bytes, disk.largest_transfer_);
    if (disk.full_from_ >= 0 && disk.call_ > disk.full_from_) {
      disk.is_full_ = true;
      count = std::min(count, (bytes + 1) / 2);
    }
    Open& open = disk.open_.at(file);
    std::string& to = open.file->bytes;
    if (open.appends) open.position = to.size();
    to.resize(std::max(to.size(), open.position + count));
    std::memcpy(to.data() + open.position, data, count);
    open.position += count;
    return static_cast<int64_t>(count);
  };
  table.write_at = [](int file, const void* data, size_t bytes, int64_t offset) -> int64_t {
    FakeDisk& disk = current();
    if (disk.fails(true)) return -1;
    std::string& to = disk.open_.at(file).file->bytes;
    const auto begin = static_cast<size_t>(offset);
    const size_t count = std::min(bytes, disk.largest_transfer_);
    to.resize(std::max(to.size(), begin + count));
    std::memcpy(to.data() + begin, data, count);
    return static_cast<int64_t>(count);
  };
  table.sync = [](int file) -> int {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    if (const Open& open = disk.open_.at(file); open.file)
      open.file->synced = open.file->bytes;
    else
      disk.synced_names_ = disk.names_;
    return 0;
  };
  table.status = [](const char* path, io::FileStatus* status) -> int {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    const auto found = disk.names_.find(path);
    if (found != disk.names_.end())
      *status = {FileKind::regular, found->second->bytes.size()};
    else if (disk.is_folder(path))
      *status = {FileKind::folder, 0};
    else
      return refuse(ENOENT);
    return 0;
  };
  table.file_status = [](int file, io::FileStatus* status) -> int {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    const Open& open = disk.open_.at(file);
    *status = open.file ? io::FileStatus{FileKind::regular, open.file->bytes.size()}
                        : io::FileStatus{FileKind::folder, 0};
    return 0;
  };
  table.lock = [](int) -> int { return current().fails() ? -1 : 0; };
  table.is_running = [](int64_t) { return false; };  // asked after a kill only
  table.map = [](int file, size_t bytes) -> void* {
    FakeDisk& disk = current();
    if (disk.fails()) return nullptr;
    const std::string& from = disk.open_.at(file).file->bytes;
    auto* pages = new char[bytes];
    std::memcpy(pages, from.data(), std::min(bytes, from.size()));
    return pages;
  };
  table.unmap = [](void* data, size_t) -> int {
    delete[] static_cast<char*>(data);
    return 0;
  };
  table.make_folder = [](const char*, unsigned) -> int { return current().fails() ? -1 : 0; };
  table.rename = [](const char* from, const char* to) -> int {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    disk.names_[to] = disk.names_.at(from);
    disk.names_.erase(from);
    return 0;
  };
  table.remove = [](const char* path) -> int {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    return disk.names_.erase(path) ? 0 : refuse(ENOENT);
  };
  table.list = [](const char* path, std::vector<std::string>* names) -> int {
    FakeDisk& disk = current();
    if (disk.fails()) return -1;
    const std::string prefix = std::string(path) + "/";
    for (const auto& [name, inode] : disk.names_)
      if (name.starts_with(prefix)) names->push_back(name.substr(prefix.size()));
    return 0;
  };
  return table;
}

}  // namespace brume::test
