#pragma once

#include <optional>
#include <string>
#include <vector>

namespace brume::tools {

struct TrainArguments {
  std::string config, out, resume;
  std::vector<std::string> changes;
  std::optional<int64_t> seed;
  bool dry_run = false, quiet = false;
};

/// Trains a run to its end, or until a signal; returns the program's exit code.
int train(const TrainArguments& arguments);

}  // namespace brume::tools
