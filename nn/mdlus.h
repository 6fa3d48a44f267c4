#pragma once
// The reference's .mdlus: state, class and arguments of a module. docs/formats/mdlus.md tells the
// format.

#include <memory>
#include <span>
#include <string>
#include <utility>

#include <brume/core/io/byte_source.h>
#include <brume/core/io/safetensors.h>
#include <brume/core/io/torch_pt.h>

namespace brume::nn {

struct Mdlus {
  std::string class_name, config;  // as our registry has them
  io::Metadata notes;  // strings of the file's metadata; "__module__" where ours would be another
  io::TorchFile state;
};

/// From a zip archive, or the older tar.
/// @throws FormatError if a member is missing or broken, a version is not read, or nested modules
///         are not named as they lie; IoError
Mdlus open_mdlus(const std::shared_ptr<const io::ByteSource>& archive);

/// Writes a file that the reference's from_checkpoint reads, as far as it has the classes. Those of
/// other Python modules are written as the notes of open_mdlus have them.
/// @throws IoError; FormatError as save_torch
void save_mdlus(const std::string& path, const std::string& class_name, const std::string& config,
                std::span<const std::pair<std::string, Tensor>> state, const io::Metadata& notes);

}  // namespace brume::nn
