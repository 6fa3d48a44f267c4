#include "run_folder.h"

#include <nlohmann/json.hpp>

#include <brume/core/error.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/quote.h>
#include <brume/core/json.h>
#include <brume/diffusion/builtin.h>
#include <brume/nn/model_file.h>
#include <brume/nn/serialize.h>
#include <brume/nn/training/checkpoint.h>
#include <brume/nn/training/run_directory.h>

#include "unknown_class.h"

namespace brume::tools {

std::string model_of(const std::string& path) {
  if (io::file_status(path).kind != io::FileKind::folder) {
    const bool names_another =
        io::name_of(path) == nn::kLatestCheckpoint && run_of(path) != io::folder_of(path);
    return names_another ? nn::whole_checkpoint(run_of(path)).value_or(path) : path;
  }
  const std::string finished = io::join_path(path, "model.safetensors");
  if (io::file_status(finished).kind != io::FileKind::missing) return finished;
  const auto newest = nn::whole_checkpoint(path);
  check<IoError>(newest.has_value(), "'", path, "' has neither a model nor a checkpoint");
  return *newest;
}

nn::Ref<nn::Module> load_model(const nn::ModelFile& file) {
  diffusion::register_builtin();
  check<FormatError>(
      !file.class_name.empty(), "'", file.path,
      "' holds tensors, but not of which class and arguments they are; brume convert ", file.path,
      " OUT.safetensors --as MODEL takes those of a file or run that says them");
  if (const auto unknown = unknown_class(
          {{"module", file.class_name}, {"args", parse_json(file.config, file.path)}}))
    throw FormatError(cat("'", file.path, "' holds a ", io::quote(unknown->name),
                          ", which brume does not have; a program that registers the class can "
                          "load it"));
  const auto model = nn::is_checkpoint(file) ? nn::load_averaged(file) : nn::load(file);
  model->eval();
  return model;
}

std::string run_of(const std::string& path) {
  if (io::file_status(path).kind == io::FileKind::folder) return path;
  const std::string folder = io::folder_of(path);
  return io::name_of(folder) == nn::kCheckpointFolder ? io::folder_of(folder) : folder;
}

}  // namespace brume::tools
