#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include <brume/core/backend.h>

#include "tests/ops/checks.h"

using namespace brume;
using namespace brume::op_table;

namespace {

void check_all(Device device) {
  for (const OpRow& row : all_rows())
    for (const Failure& failure : check_row(row, device)) {
      FAIL_CHECK(failure.row << ", " << failure.check << ": " << failure.text);
    }
}

}  // namespace

TEST_CASE("every row of the op table holds on the CPU") { check_all(kCpu); }

TEST_CASE("every row of the op table holds on a GPU" *
          doctest::skip(!has_backend(DeviceType::cuda))) {
  check_all({DeviceType::cuda, 0});
}

TEST_CASE("every operation of the public headers has a row") {
  const Rows rows = all_rows();
  for (const auto& file : std::filesystem::directory_iterator(BRUME_SOURCE_DIR "/autograd/ops")) {
    if (file.path().extension() != ".h") continue;
    std::ifstream in(file.path());
    const std::string text(std::istreambuf_iterator<char>(in), {});
    for (const std::string& name : without_row(text, rows))
      FAIL_CHECK(file.path().filename().string() << ": " << name << " has no row");
  }
}
