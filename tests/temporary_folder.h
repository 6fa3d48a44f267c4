#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace brume::test {

/// A fresh folder that goes, with all it holds, at the end of the test. Tests of several builds may
/// run at the same time, so none has a name of its own choice.
class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_((std::filesystem::temp_directory_path() / "brume-test-XXXXXX").string()) {
    if (!::mkdtemp(path_.data())) throw std::runtime_error("no temporary folder");
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A file name in a folder of its own.
struct TemporaryFile {
  explicit TemporaryFile(std::string_view name) : path(folder / name) {}
  TemporaryFolder folder;
  std::string path;
};

/// The working folder of a test program that writes under short names; one for all of its files.
struct WorkingFolder {
  WorkingFolder() { std::filesystem::current_path(folder.path()); }
  TemporaryFolder folder;
};

}  // namespace brume::test
