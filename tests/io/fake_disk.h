#pragma once
// A disk in memory behind io::system_calls(), which can fail, die or lose power at any call.

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <brume/core/io/fs.h>

namespace brume::test {

/// The process is dead: nothing after this reaches the disk.
struct Killed : std::runtime_error {
  Killed() : std::runtime_error("killed") {}
};

/// While it lives, all of io works on it. Folders exist as soon as they are named in a path.
class FakeDisk {
 public:
  FakeDisk();
  FakeDisk(const FakeDisk&) = delete;
  FakeDisk& operator=(const FakeDisk&) = delete;
  ~FakeDisk();

  /// A file that is whole and on the disk already.
  void add(const std::string& path, const std::string& bytes);
  /// As programs see it.
  std::map<std::string, std::string> files() const;
  bool has(const std::string& path) const { return names_.count(path) != 0; }
  /// What a power cut could leave: names as of the last sync_folder, or as now (`names_written`);
  /// bytes as of each file's last sync.
  std::map<std::string, std::string> after_power_cut(bool names_written) const;

  /// Faults, by number of the call from now on (0 is the next).
  void kill_at(int call) { restart(), kill_at_ = call; }
  void fail_at(int call, int error) { restart(), fail_at_ = call, error_ = error; }
  /// From this call on no more bytes are taken, after half of what that call brings.
  void full_from(int call) { restart(), full_from_ = call; }
  void largest_transfer(size_t bytes) { largest_transfer_ = bytes; }
  void restart();
  int calls() const { return call_; }
  int open_files() const { return static_cast<int>(open_.size()); }

 private:
  struct Inode {
    std::string bytes, synced;
  };
  struct Open {
    std::shared_ptr<Inode> file;  // none: a folder
    std::string path;
    size_t position = 0;
    bool appends = false;
  };
  static FakeDisk& current();
  static io::SystemCalls calls_table();
  bool fails(bool takes_bytes = false);
  bool is_folder(const std::string& path) const;

  std::map<std::string, std::shared_ptr<Inode>> names_, synced_names_;
  std::map<int, Open> open_;
  int next_handle_ = 1000;
  int call_ = 0, kill_at_ = -1, fail_at_ = -1, full_from_ = -1, error_ = 0;
  bool dead_ = false, is_full_ = false;
  size_t largest_transfer_ = ~size_t{0};
  io::SystemCalls real_;
};

}  // namespace brume::test
