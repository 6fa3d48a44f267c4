#pragma once
// Where a run lives: options.json, log.jsonl, log.csv, checkpoints/, pictures.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <brume/core/io/lock_file.h>
#include <brume/nn/training/checkpoint.h>

namespace brume::nn {

/// RUN/checkpoints, and the file in it that names the newest.
inline constexpr const char* kCheckpointFolder = "checkpoints";
inline constexpr const char* kLatestCheckpoint = "latest";

/// A folder that one process at a time trains into. At every instant after the first checkpoint it
/// holds a complete one.
class RunDirectory {
 public:
  /// Makes it if missing. @throws IoError naming the process that is using it
  explicit RunDirectory(const std::string& path);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return io::join_path(path_, name); }

  /// checkpoints/step_000000500.safetensors, then the name in checkpoints/latest; all but the
  /// newest `keep` files go.
  void save(const TrainState& state, int64_t keep, const io::Metadata& notes = {});

 private:
  std::string path_;
  io::LockFile lock_;
};

/// The newest checkpoint of a run directory; nothing if it has none.
std::optional<std::string> latest_checkpoint(const std::string& run);

/// Whether it holds a checkpoint, or checkpoints/latest that names one.
bool has_checkpoint(const std::string& run);

/// latest_checkpoint, opened to see that it is whole.
/// @throws FormatError saying what is wrong, and how to go on from the newest one that is whole
std::optional<std::string> whole_checkpoint(const std::string& run);

}  // namespace brume::nn
