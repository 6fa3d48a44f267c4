#pragma once
// Files of models. Which format one has shows in its content; which one is written, in its name.

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <brume/core/io/safetensors.h>
#include <brume/core/tensor.h>

namespace brume::nn {

enum class FileFormat { safetensors, mdlus, torch };
const char* to_string(FileFormat format);

/// A tensor that a file has, read when asked for.
struct StoredTensor {
  std::string name;
  Shape shape;
  DType dtype;
  std::function<Tensor()> read;
};

/// What a file says, before any tensor is read.
struct ModelFile {
  std::string path;
  FileFormat format;
  std::string class_name, config;  // empty if the file does not say them
  io::Metadata notes;              // other texts
  std::vector<StoredTensor> tensors;
};

/// @throws IoError; FormatError if it is no sound file of one of the formats
ModelFile open_model_file(const std::string& path);

/// Whether a file of this name, .pt or .pth, holds neither class nor arguments.
bool holds_state_alone(const std::string& path);

/// Writes .safetensors, .mdlus or .pt; the last holds the state alone. Whole or not at all.
/// @throws IoError; Error if the name has another end; FormatError as the formats' writers
void write_model_file(const std::string& path, const std::string& class_name,
                      const std::string& config,
                      std::span<const std::pair<std::string, Tensor>> state, io::Metadata notes);

}  // namespace brume::nn
