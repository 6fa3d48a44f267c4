// Checkpoints on a disk that fills up, fails or loses power.

#include <cerrno>
#include <functional>

#include <doctest/doctest.h>

#include <brume/core/io/atomic_file.h>
#include <brume/nn/training/run_directory.h>

#include "tests/error_of.h"
#include "tests/io/fake_disk.h"
#include "tests/training/run.h"

namespace brume::test {
namespace {

using Files = std::map<std::string, std::string>;

const std::string kFolder = "run/checkpoints/", kFirst = "step_000000001.safetensors",
                  kSecond = "step_000000002.safetensors";

// Saves step 1, then meets `fault` while saving step 2 and removing step 1, which takes so many
// calls.
int save_twice(FakeDisk& disk, const std::function<void()>& fault) {
  nn::RunDirectory folder("run");
  Run run;
  run.step();
  folder.save(run.state, 1);
  run.step();
  disk.restart();
  fault();
  try {
    folder.save(run.state, 1);
  } catch (const IoError&) {
  } catch (const Killed&) {
  }
  return disk.calls();
}

// The step that a run on a disk of these files goes on from, with the bits it had then.
int64_t resumed_step(const Files& files) {
  FakeDisk disk;
  for (const auto& [path, bytes] : files) disk.add(path, bytes);
  Run run, wanted;
  nn::load_checkpoint(*nn::whole_checkpoint("run"), run.state);
  for (int64_t i = 0; i < run.state.step; ++i) wanted.step();
  CHECK(run.numbers() == wanted.numbers());
  return run.state.step;
}

int calls_of_a_save() {
  FakeDisk disk;
  const int calls = save_twice(disk, [] {});
  CHECK(disk.has(kFolder + kSecond));
  CHECK_FALSE(disk.has(kFolder + kFirst));
  return calls;
}

}  // namespace

TEST_CASE("whatever call of saving a checkpoint fails, one that is whole is there to go on from") {
  const int calls = calls_of_a_save();
  REQUIRE(calls > 10);
  using Fault = std::function<void(FakeDisk&, int)>;
  const Fault faults[] = {[](FakeDisk& disk, int i) { disk.fail_at(i, ENOSPC); },
                          [](FakeDisk& disk, int i) { disk.fail_at(i, EIO); },
                          [](FakeDisk& disk, int i) { disk.full_from(i); },
                          [](FakeDisk& disk, int i) { disk.kill_at(i); }};
  int64_t before = 0, after = 0;
  for (const Fault& fault : faults)
    for (int i = 0; i < calls; ++i) {
      CAPTURE(i);
      std::vector<Files> left;
      {
        FakeDisk disk;
        save_twice(disk, [&] { fault(disk, i); });
        left = {disk.files(), disk.after_power_cut(false), disk.after_power_cut(true)};
      }
      for (const Files& files : left) ++(resumed_step(files) == 1 ? before : after);
    }
  CHECK(before > 0);
  CHECK(after > 0);
}

TEST_CASE(
    "a newest checkpoint that is cut off names the one before it and how to go on from that") {
  FakeDisk disk;
  {
    nn::RunDirectory folder("run");
    Run run;
    for (int i = 0; i < 2; ++i) {
      run.step();
      folder.save(run.state, 2);
    }
  }
  const std::string bytes = disk.files().at(kFolder + kSecond);
  disk.add(kFolder + kSecond, bytes.substr(0, bytes.size() - 100));
  const auto fault = [] { return error_of([] { (void)nn::whole_checkpoint("run"); }); };
  CHECK(fault().find("bytes of data") != std::string::npos);
  CHECK(fault().find("echo " + kFirst + " > " + kFolder + "latest") != std::string::npos);
  io::write_file(kFolder + "latest", kFirst + "\n");
  CHECK(nn::whole_checkpoint("run") == kFolder + kFirst);
  disk.add(kFolder + kFirst, "");
  CHECK(fault().find("begin anew") != std::string::npos);
}

TEST_CASE(
    "checkpoints that latest does not name are a run all the same, and one of them is named") {
  FakeDisk disk;
  {
    nn::RunDirectory folder("run");
    CHECK_FALSE(nn::has_checkpoint("run"));
    CHECK_FALSE(nn::whole_checkpoint("run"));
    Run run;
    for (int i = 0; i < 2; ++i) {
      run.step();
      folder.save(run.state, 2);
    }
  }
  const auto fault = [] { return error_of([] { (void)nn::whole_checkpoint("run"); }); };
  io::remove_file(kFolder + "latest");
  CHECK(nn::has_checkpoint("run"));
  CHECK(fault() == "'" + kFolder + "latest', which names the newest, is missing; " + kSecond +
                       " beside it is whole: go on from it after echo " + kSecond + " > " +
                       kFolder + "latest");
  io::write_file(kFolder + "latest", kSecond + "\n");
  io::remove_file(kFolder + kSecond);
  CHECK(fault().find(kSecond) != std::string::npos);
  CHECK(fault().find("; " + kFirst + " beside it is whole") != std::string::npos);
}

TEST_CASE("a run that was taken back gives up the checkpoints of later steps before older ones") {
  FakeDisk disk;
  nn::RunDirectory folder("run");
  Run run;
  run.step();
  folder.save(run.state, 2);
  const std::string later = kFolder + "step_000000009.safetensors";
  disk.add(later, "of the run before it was taken back");
  run.step();
  folder.save(run.state, 2);
  CHECK_FALSE(disk.has(later));
  CHECK(disk.has(kFolder + kFirst));
  CHECK(disk.has(kFolder + kSecond));
}

}  // namespace brume::test
