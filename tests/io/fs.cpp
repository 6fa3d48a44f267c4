#include <brume/core/io/fs.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <doctest/doctest.h>

#include <brume/core/error.h>
#include <brume/core/io/lock_file.h>

#include "tests/io/fake_disk.h"
#include "tests/io/files.h"

namespace brume::test {

TEST_CASE("reading what is no regular file is an error that says what it is") {
  const TemporaryFolder folder;
  ::mkfifo((folder / "pipe").c_str(), 0600);
  const auto refusal = [](const std::string& path) {
    return error_of<IoError>([&] { io::read_file(path, 100); });
  };
  CHECK(contains(refusal(folder / "none"), "none': No such file or directory"));
  CHECK(contains(refusal(folder.path()), "it is a folder, not a file"));
  CHECK(contains(refusal(folder / "pipe"), "it is a pipe or a device, not a file"));
  CHECK(contains(refusal("/dev/full"), "it is a pipe or a device, not a file"));
  CHECK(contains(refusal(""), "No such file or directory"));
  CHECK(contains(refusal(std::string("a\0b", 3)), "a path has no NUL byte, got 'a\\x00b'"));
  put(folder / "file", "x");
  CHECK(contains(refusal(folder / "file/below"), "Not a directory"));
}

TEST_CASE("a file without permission is an error that says so") {
  if (::geteuid() == 0) return;  // nothing is forbidden to root
  const TemporaryFolder folder;
  put(folder / "x", "x");
  ::chmod((folder / "x").c_str(), 0);
  CHECK(contains(error_of<IoError>([&] { io::read_file(folder / "x", 1); }), "Permission denied"));
}

TEST_CASE("a file larger than the limit is refused before it is read") {
  const TemporaryFolder folder;
  put(folder / "x", "12345");
  CHECK(io::read_file(folder / "x", 5) == "12345");
  CHECK(contains(error_of<IoError>([&] { io::read_file(folder / "x", 4); }),
                 "it has 5 bytes, and at most 4 are allowed here"));
}

TEST_CASE("reading beyond the end of a file is an error, at any offset") {
  const TemporaryFolder folder;
  put(folder / "x", "12345");
  const io::File file = io::File::open(folder / "x");
  std::byte bytes[3];
  file.read(2, bytes);
  CHECK(static_cast<char>(bytes[2]) == '5');
  CHECK(contains(error_of<IoError>([&] { file.read(3, bytes); }), "it ends at byte 5"));
  CHECK_THROWS_AS(file.read(uint64_t{1} << 63, bytes), IoError);
  CHECK_THROWS_AS(file.read(~uint64_t{0}, bytes), IoError);
}

TEST_CASE("an error at any call of a read reaches the caller, and interrupted calls are repeated") {
  FakeDisk disk;
  disk.add("x", "some bytes that come in pieces");
  disk.largest_transfer(4);
  const std::string wanted = io::read_file("x", 100);
  CHECK(wanted == "some bytes that come in pieces");
  const int calls = disk.calls();
  for (int i = 0; i < calls - 1; ++i) {  // the last call closes
    disk.fail_at(i, EIO);
    CHECK(contains(error_of<IoError>([] { io::read_file("x", 100); }), "Input/output error"));
    CHECK(disk.open_files() == 0);
  }
  for (int i = 3; i < calls; ++i) {
    disk.fail_at(i, EINTR);
    CHECK(io::read_file("x", 100) == wanted);
  }
}

TEST_CASE("append continues a file, and update writes over its start") {
  const TemporaryFolder folder;
  for (const char* line : {"one\n", "two\n"}) {
    io::File file = io::File::append(folder / "log");
    file.write(std::string_view(line));
    file.close();
  }
  CHECK(get(folder / "log") == "one\ntwo\n");
  io::File::update(folder / "log").write(std::string_view("ONE"));
  CHECK(get(folder / "log") == "ONE\ntwo\n");
}

TEST_CASE("folders are made with those above them, listed in order, and renamed into") {
  const TemporaryFolder folder;
  io::make_folders(folder / "a/b//c/");
  io::make_folders(folder / "a/b");
  CHECK(io::file_status(folder / "a/b/c").kind == io::FileKind::folder);
  CHECK(io::file_status(folder / "a/x").kind == io::FileKind::missing);
  put(folder / "a/2", "two");
  put(folder / "a/1", "one");
  CHECK(io::list_folder(folder / "a") == std::vector<std::string>{"1", "2", "b"});
  io::rename_file(folder / "a/2", folder / "a/1");
  CHECK(get(folder / "a/1") == "two");
  io::remove_file(folder / "a/1");
  io::sync_folder(folder / "a");
  CHECK(io::list_folder(folder / "a") == std::vector<std::string>{"b"});
  CHECK(contains(error_of<IoError>([&] { io::list_folder(folder / "none"); }), "cannot list"));
  CHECK(contains(error_of<IoError>([&] { io::remove_file(folder / "none"); }), "cannot remove"));
  CHECK(contains(error_of<IoError>([&] { io::rename_file(folder / "none", folder / "x"); }),
                 "cannot rename"));
  put(folder / "file", "");
  CHECK(contains(error_of<IoError>([&] { io::make_folders(folder / "file/x"); }), "cannot make"));
}

TEST_CASE("paths split and join") {
  CHECK(io::folder_of("a/b/c") == "a/b");
  CHECK(io::folder_of("c") == ".");
  CHECK(io::folder_of("/c") == "/");
  CHECK(io::name_of("a/b/c") == "c");
  CHECK(io::name_of("c") == "c");
  CHECK(io::join_path("a/b", "c") == "a/b/c");
  CHECK(io::join_path("/", "c") == "/c");
}

TEST_CASE("a lock admits one owner, names it, and ends with it") {
  const TemporaryFolder folder;
  {
    const io::LockFile mine(folder / "lock");
    const auto text = error_of<IoError>([&] { io::LockFile(folder / "lock"); });
    CHECK(contains(text, "is in use by process " + std::to_string(::getpid()) + ";"));
  }
  io::LockFile(folder / "lock");
}

TEST_CASE("a lock of another process is refused by its id, and free once that process is killed") {
  const TemporaryFolder folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t other = ::fork();
  if (other == 0) {
    const io::LockFile lock(folder / "lock");
    [[maybe_unused]] const auto told = ::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char told = 0;
  REQUIRE(::read(ready[0], &told, 1) == 1);
  const auto text = error_of<IoError>([&] { io::LockFile(folder / "lock"); });
  CHECK(contains(text, "'" + folder.path() + "' is in use by process " + std::to_string(other)));
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  io::LockFile(folder / "lock");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a system without locks or mappings is an error that gives its reason") {
  const TemporaryFolder folder;
  put(folder / "x", "x");
  const io::SystemCalls real = io::system_calls();
  io::system_calls().lock = [](int) { return errno = ENOLCK, -1; };
  io::system_calls().map = [](int, size_t) -> void* { return errno = ENOMEM, nullptr; };
  CHECK(contains(error_of<IoError>([&] { io::LockFile(folder / "lock"); }), "No locks available"));
  CHECK(contains(error_of<IoError>([&] { io::Mapping(io::File::open(folder / "x"), 1); }),
                 "Cannot allocate memory"));
  io::system_calls() = real;
}

TEST_CASE("a lock file with anything in it locks all the same") {
  const TemporaryFolder folder;
  put(folder / "lock", "not a process id, and longer than the record of one");
  const io::LockFile mine(folder / "lock");
  CHECK(contains(error_of<IoError>([&] { io::LockFile(folder / "lock"); }), "is in use by"));
}

}  // namespace brume::test
