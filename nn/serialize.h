#pragma once
// Modules in files. A .safetensors or .mdlus file holds the state by name, the class and the
// arguments, so that the file alone rebuilds the module; a .pt file holds the state.

#include <string>
#include <utility>
#include <vector>

#include <brume/core/io/safetensors.h>
#include <brume/nn/key_patterns.h>
#include <brume/nn/model_file.h>
#include <brume/nn/module.h>

namespace brume::nn {

// Where a file's metadata says what rebuilds the module.
inline constexpr const char* kClassKey = "brume.class";
inline constexpr const char* kConfigKey = "brume.config";

/// Writes class, arguments and state, and `notes` into the metadata beside them; the file appears
/// whole or not at all. The end of the name says the format: .safetensors, .mdlus, or .pt, which
/// holds the state alone.
/// @throws IoError; Error if the arguments are not known, the class or one among its arguments is
///         not registered (no matter in a .pt), or the path has another end
void save(const Module& module, const std::string& path, io::Metadata notes = {});

struct LoadOptions {
  /// JSON object of arguments that replace the file's, where the class allows it (see
  /// RegisteredClass): {"act": "gelu", "model.act": "gelu"}, the second of the argument `model`.
  std::string override_args = {};
};

/// Rebuilds a module from a file of any format that says its class, on the CPU and in training
/// mode. Memory is asked for only after the file has been found to fit.
/// @throws IoError; FormatError if the class is unknown, the arguments are not its config or must
/// not
///         be replaced, or the state does not fit (everything that does not is listed)
Ref<Module> load(const std::string& path, const LoadOptions& options = {});
Ref<Module> load(ModelFile file, const LoadOptions& options = {});
/// @throws FormatError if the file holds another class
template <class M>
Ref<M> load(const std::string& path, const LoadOptions& options = {}) {
  const Ref<Module> module = load(path, options);
  const Ref<M> wanted = module.template as<M>();
  check<FormatError>(static_cast<bool>(wanted), "load: '", path, "' holds a ", module->class_name(),
                     ", which is not the class asked for");
  return wanted;
}

enum class Strictness {
  strict,  // every key of the module must be there and no other
  loose    // keys may be missing or left over; shapes must still fit
};
struct KeyReport {
  std::vector<std::string> missing, unexpected;
};

/// Copies values into the module by name, converted to its dtypes; keys of older files are renamed
/// first. If anything fails, the module is as it was. The file may be of any format.
/// @throws FormatError listing all missing, unexpected and wrongly shaped keys; IoError
KeyReport load_state(Module& module, const std::string& path,
                     Strictness strictness = Strictness::strict);
KeyReport load_state(Module& module, const NamedTensors& state,
                     Strictness strictness = Strictness::strict);
/// The same of a file whose keys are somebody else's, by a table of what they are here.
/// @throws Error also on a table that renamed_key refuses
KeyReport load_state(Module& module, const std::string& path, const KeyTable& keys,
                     Strictness strictness = Strictness::strict);

}  // namespace brume::nn
