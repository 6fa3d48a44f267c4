#include <brume/core/io/atomic_file.h>

#include <cerrno>

#include <doctest/doctest.h>

#include <brume/core/error.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/png.h>
#include <brume/core/io/safetensors.h>

#include "tests/io/fake_disk.h"
#include "tests/io/files.h"

namespace brume::test {
namespace {

const std::string kPath = "run/checkpoint", kOld = "the old bytes";

// Several writes: longer than AtomicFile's buffer, in small and large pieces.
std::string new_bytes() {
  std::string out;
  for (int i = 0; i < 700000; ++i) out += static_cast<char>(i * 7 + i / 256);
  return out;
}

void write_new() {
  const std::string bytes = new_bytes();
  io::AtomicFile file(kPath);
  for (size_t i = 0; i < 300000; i += 1000) file.write(std::string_view(bytes).substr(i, 1000));
  file.write(std::string_view(bytes).substr(300000));
  file.commit();
}

int calls_of(void (*write)()) {
  FakeDisk disk;
  disk.add(kPath, kOld);
  write();
  return disk.calls();
}

struct Writer {
  const char* format;
  void (*write)();
};
// Everything that writes a file, with enough bytes for more than one write.
const Writer kWriters[] = {{"bytes", write_new},
                           {"safetensors",
                            [] {
                              io::save_safetensors(
                                  kPath, std::vector<std::pair<std::string, Tensor>>{
                                             {"a", zeros({300, 300})}, {"b", zeros({5})}});
                            }},
                           {"npy",
                            [] {
                              io::write_npy(kPath, zeros({300, 300}));
                            }},
                           {"png", [] {
                              if (io::has_png())
                                io::write_png(kPath, zeros({3, 9, 11}, {.dtype = DType::u8}));
                            }}};

}  // namespace

TEST_CASE("AtomicFile: killed at any call, the old file or the new one is there, whole") {
  for (const Writer& writer : kWriters) {
    CAPTURE(writer.format);
    FakeDisk done;
    done.add(kPath, kOld);
    writer.write();
    const std::string wanted = done.files().at(kPath);
    const int calls = done.calls();
    for (int i = 0; i < calls; ++i) {
      CAPTURE(i);
      FakeDisk disk;
      disk.add(kPath, kOld);
      disk.kill_at(i);
      CHECK_THROWS_AS(writer.write(), Killed);
      for (const auto& state :
           {disk.files(), disk.after_power_cut(false), disk.after_power_cut(true)}) {
        const std::string& bytes = state.at(kPath);
        CHECK((bytes == kOld || bytes == wanted));
      }
    }
  }
}

TEST_CASE("AtomicFile: once commit has returned, a power cut does not take the file back") {
  FakeDisk disk;
  disk.add(kPath, kOld);
  write_new();
  CHECK(disk.after_power_cut(false).at(kPath) == new_bytes());
  CHECK(disk.files().size() == 1);
  CHECK(disk.open_files() == 0);
}

TEST_CASE("AtomicFile: an error at any call is reported, keeps the old file, leaves no temporary") {
  for (const Writer& writer : kWriters) {
    CAPTURE(writer.format);
    const int calls = calls_of(writer.write);
    for (const int error : {ENOSPC, EIO, EDQUOT, EROFS})
      for (int i = 0; i < calls; ++i) {
        CAPTURE(i);
        FakeDisk disk;
        disk.add(kPath, kOld);
        disk.fail_at(i, error);
        std::string text = error_of<IoError>(writer.write);
        // The last call closes the folder, after everything is on the disk.
        if (i == calls - 1) continue;
        CHECK(contains(text, "cannot "));
        const auto files = disk.files();
        const bool renamed = i >= calls - 3;  // open, sync (and close) the folder come last
        CHECK((files.at(kPath) == kOld) != renamed);
        CHECK(files.size() == 1);
        CHECK(disk.open_files() == 0);
      }
  }
}

TEST_CASE("AtomicFile: a disk that fills up at any call keeps the old file") {
  const int calls = calls_of(write_new);
  for (int i = 0; i < calls - 4; ++i) {
    FakeDisk disk;
    disk.add(kPath, kOld);
    disk.full_from(i);
    const std::string text = error_of<IoError>(write_new);
    if (text.empty()) continue;  // full after the last write
    CHECK(contains(text, "No space left on device"));
    CHECK(disk.files() == std::map<std::string, std::string>{{kPath, kOld}});
  }
}

TEST_CASE("AtomicFile: interrupted calls are repeated and short writes continued") {
  const int calls = calls_of(write_new);
  for (int i = 0; i < calls; ++i) {
    CAPTURE(i);
    FakeDisk disk;
    disk.add(kPath, kOld);
    disk.largest_transfer(99991);
    disk.fail_at(i, EINTR);
    write_new();
    CHECK(disk.files() == std::map<std::string, std::string>{{kPath, new_bytes()}});
  }
}

TEST_CASE("AtomicFile: without commit the temporary goes and the target stays") {
  FakeDisk disk;
  disk.add(kPath, kOld);
  {
    io::AtomicFile file(kPath);
    file.write(new_bytes());
    CHECK(disk.files().size() == 2);
  }
  CHECK(disk.files() == std::map<std::string, std::string>{{kPath, kOld}});
}

TEST_CASE("AtomicFile: what a killed process left is found and removed, and nothing else") {
  FakeDisk disk;
  disk.add(kPath, kOld);
  disk.add("run/log.tmp", "");
  disk.kill_at(4);
  CHECK_THROWS_AS(write_new(), Killed);
  CHECK(disk.files().size() == 3);
  disk.restart();
  io::remove_temporaries("run");
  CHECK(disk.files() == std::map<std::string, std::string>{{kPath, kOld}, {"run/log.tmp", ""}});
}

TEST_CASE("AtomicFile: a folder, a pipe or a device is never replaced") {
  const TemporaryFolder folder;
  CHECK(contains(error_of<IoError>([&] { io::write_file(folder.path(), "x"); }),
                 "it is a folder, not a file"));
  CHECK(contains(error_of<IoError>([] { io::write_file("/dev/full", "x"); }),
                 "it is a pipe or a device"));
  CHECK(contains(error_of<IoError>([&] { io::write_file(folder / "no/such", "x"); }),
                 "No such file or directory"));
}

TEST_CASE("AtomicFile: on the real disk a new file appears and an old one is replaced") {
  const TemporaryFolder folder;
  io::write_file(folder / "x", "one");
  CHECK(get(folder / "x") == "one");
  io::write_file(folder / "x", new_bytes());
  CHECK(get(folder / "x") == new_bytes());
  io::write_file(folder / "x", "");
  CHECK(get(folder / "x").empty());
  CHECK(io::list_folder(folder.path()) == std::vector<std::string>{"x"});
}

}  // namespace brume::test
