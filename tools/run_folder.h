#pragma once
// What the commands are given: a run folder, or a file in one.

#include <string>

#include <brume/nn/model_file.h>
#include <brume/nn/module.h>

namespace brume::tools {

/// The model that `path` means: a file itself, of RUN/checkpoints/latest the checkpoint it names,
/// of a run folder its finished model, else its newest checkpoint. @throws IoError if the folder
/// has neither; FormatError as nn::whole_checkpoint
std::string model_of(const std::string& path);

/// The module of a file, a checkpoint's with its averaged weights, in evaluation mode.
/// @throws FormatError if the file does not say its class
nn::Ref<nn::Module> load_model(const nn::ModelFile& file);

/// The run folder that `path` means: a folder itself, of RUN/model.safetensors and
/// RUN/checkpoints/... RUN.
std::string run_of(const std::string& path);

}  // namespace brume::tools
