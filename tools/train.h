#pragma once

#include <optional>
#include <string>
#include <vector>

#include <brume/core/device.h>

namespace brume::tools {

struct TrainArguments {
  std::string config, resume;    // resume: a run folder, or empty; its options if config is
  std::string out{};             // by default the resumed folder, else runs/run
  std::string data{}, labels{};  // where data.x and data.labels are now, if not as the options say
  std::vector<std::string> changes;
  std::optional<int64_t> seed;
  Device device = kCpu;
  bool graph = false;  // on a GPU: a step is captured, and replayed from then on
  bool dry_run = false, quiet = false;
};

/// Trains a run to its end, or until SIGINT or SIGTERM; returns the program's exit code.
/// @throws IoError if `out` holds a run other than the resumed one; Error naming the options that
///         the resumed run was not trained with, or saying that its data were others
int train(const TrainArguments& arguments);

}  // namespace brume::tools
