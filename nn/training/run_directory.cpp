#include <brume/nn/training/run_directory.h>

#include <algorithm>
#include <vector>

#include <brume/core/io/atomic_file.h>
#include <brume/core/io/fs.h>
#include <brume/core/text.h>

namespace brume::nn {
namespace {

constexpr std::string_view kPrefix = "step_", kSuffix = ".safetensors";

std::string made_folder(const std::string& path) {
  io::make_folders(io::join_path(path, kCheckpointFolder));
  return path;
}

std::string checkpoint_name(int64_t step) { return cat(kPrefix, zero_padded(step, 9), kSuffix); }

// Names sort as their steps.
std::vector<std::string> checkpoint_names(const std::string& folder) {
  std::vector<std::string> names;
  for (const std::string& entry : io::list_folder(folder))
    if (entry.starts_with(kPrefix) && entry.ends_with(kSuffix)) names.push_back(entry);
  return names;
}

// Why it cannot be gone on from; "" if it can.
std::string fault_of(const std::string& path) {
  try {
    return is_checkpoint(path) ? "" : cat("'", path, "' is no training checkpoint");
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

RunDirectory::RunDirectory(const std::string& path)
    : path_(made_folder(path)), lock_(io::join_path(path, "lock")) {
  io::remove_temporaries(path_);
  io::remove_temporaries(io::join_path(path_, kCheckpointFolder));
}

void RunDirectory::save(const TrainState& state, int64_t keep, const io::Metadata& notes) {
  check(keep >= 1, "RunDirectory: must keep at least one checkpoint, got ", keep);
  const std::string folder = file(kCheckpointFolder), name = checkpoint_name(state.step);
  save_checkpoint(io::join_path(folder, name), state, notes);
  io::write_file(io::join_path(folder, kLatestCheckpoint), name + "\n");
  std::vector<std::string> others = checkpoint_names(folder);
  std::erase(others, name);
  // Those of later steps go first: the run was taken back behind them.
  std::stable_partition(others.begin(), others.end(),
                        [&](const std::string& other) { return other > name; });
  const auto spare = static_cast<int64_t>(others.size()) - (keep - 1);
  for (int64_t i = 0; i < spare; ++i)
    io::remove_file(io::join_path(folder, others[static_cast<size_t>(i)]));
}

std::optional<std::string> latest_checkpoint(const std::string& run) {
  const std::string folder = io::join_path(run, kCheckpointFolder);
  const std::string pointer = io::join_path(folder, kLatestCheckpoint);
  if (io::file_status(pointer).kind != io::FileKind::regular) return {};
  std::string name = io::read_file(pointer, 4096);
  while (!name.empty() && (name.back() == '\n' || name.back() == '\r')) name.pop_back();
  check<FormatError>(!name.empty() && name.find('/') == std::string::npos, pointer,
                     ": wants the name of a file beside it, got '", name, "'");
  return io::join_path(folder, name);
}

bool has_checkpoint(const std::string& run) {
  const std::string folder = io::join_path(run, kCheckpointFolder);
  return io::file_status(folder).kind == io::FileKind::folder &&
         (io::file_status(io::join_path(folder, kLatestCheckpoint)).kind != io::FileKind::missing ||
          !checkpoint_names(folder).empty());
}

std::optional<std::string> whole_checkpoint(const std::string& run) {
  if (!has_checkpoint(run)) return {};
  const std::string folder = io::join_path(run, kCheckpointFolder);
  const std::optional<std::string> newest = latest_checkpoint(run);
  const std::string fault = newest ? fault_of(*newest)
                                   : cat("'", io::join_path(folder, kLatestCheckpoint),
                                         "', which names the newest, is missing");
  if (fault.empty()) return newest;
  const std::vector<std::string> names = checkpoint_names(folder);
  const auto whole = std::find_if(names.rbegin(), names.rend(), [&](const std::string& name) {
    return fault_of(io::join_path(folder, name)).empty();
  });
  check<FormatError>(whole != names.rend(), fault,
                     "; no other checkpoint is there, so the run must begin anew");
  throw FormatError(cat(fault, "; ", *whole, " beside it is whole: go on from it after echo ",
                        *whole, " > ", io::join_path(folder, kLatestCheckpoint)));
}

}  // namespace brume::nn
