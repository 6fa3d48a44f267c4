#pragma once
// Runs conformance cases: files that say what to build, what to feed it and what must come out.
// data/FORMAT.md is the format. No case is known here by its name.

#include <functional>
#include <string>
#include <vector>

#include "tests/conformance/findings.h"

namespace brume::conformance {

struct RunOptions {
  Device device = kCpu;
  std::string filter = {};  // only cases whose name or target contains it
  /// Skip, instead of failing, cases of classes and functions that the library lacks.
  bool known_classes = false;
  /// Folder that gets every module of the kinds module and preconditioner as <name>.mdlus.
  std::string save_to = {};
};

using Report = std::function<void(const Outcome&)>;

/// The files of cases under a path, and the list of files that must be refused, sorted; the path
/// itself if it is a file.
/// @throws IoError
std::vector<std::string> case_files(const std::string& path);

/// Runs every case of a file that passes the filter. What a case throws is its failure.
void run_file(const std::string& path, const RunOptions& options, const Report& report);

/// "ok      module/songunet_labels SongUNet 0.04 (grad/in/x)"
std::string to_line(const Outcome& outcome);

}  // namespace brume::conformance
