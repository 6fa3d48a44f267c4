#include <brume/nn/model_file.h>

#include <memory>

#include <brume/core/io/quote.h>
#include <brume/core/io/tar.h>
#include <brume/core/io/torch_pt.h>
#include <brume/nn/mdlus.h>
#include <brume/nn/serialize.h>

namespace brume::nn {
namespace {

std::string take(io::Metadata& notes, const char* key) {
  const auto node = notes.extract(key);
  return node.empty() ? "" : std::move(node.mapped());
}

ModelFile from_safetensors(const std::string& path) {
  const auto file = std::make_shared<const io::SafetensorsFile>(io::open_safetensors(path));
  ModelFile out{.path = path,
                .format = FileFormat::safetensors,
                .class_name = {},
                .config = {},
                .notes = file->metadata(),
                .tensors = {}};
  out.class_name = take(out.notes, kClassKey);
  out.config = take(out.notes, kConfigKey);
  for (const io::SafetensorsEntry& e : file->entries())
    out.tensors.push_back(
        {e.name, e.array.shape, e.array.dtype(), [file, &e] { return file->read(e); }});
  return out;
}

void add_tensors(ModelFile& out, const io::TorchFile& state) {
  for (io::TorchEntry& e : state.entries())
    out.tensors.push_back({std::move(e.name), e.tensor.loaded_shape(),
                           io::loaded_type(e.tensor.type),
                           [state, tensor = e.tensor] { return state.read(tensor); }});
}

ModelFile from_mdlus(const std::string& path, const std::shared_ptr<const io::ByteSource>& source) {
  Mdlus file = open_mdlus(source);
  ModelFile out{.path = path,
                .format = FileFormat::mdlus,
                .class_name = std::move(file.class_name),
                .config = std::move(file.config),
                .notes = std::move(file.notes),
                .tensors = {}};
  add_tensors(out, file.state);
  return out;
}

ModelFile from_torch(const std::string& path, const std::shared_ptr<const io::ByteSource>& source) {
  ModelFile out{.path = path,
                .format = FileFormat::torch,
                .class_name = {},
                .config = {},
                .notes = {},
                .tensors = {}};
  add_tensors(out, io::TorchFile(source));
  return out;
}

// A zip is a .mdlus if one of its members says so; any may be missing from a broken one.
bool holds_module(const std::shared_ptr<const io::ByteSource>& source) {
  const io::ZipFile zip(source);
  return zip.find("args.json") || zip.find("metadata.json") || zip.find("model.pt");
}

}  // namespace

const char* to_string(FileFormat format) {
  constexpr const char* kNames[] = {"safetensors", "mdlus", "torch"};
  return kNames[static_cast<int>(format)];
}

ModelFile open_model_file(const std::string& path) {
  const auto source = std::make_shared<io::FileSource>(path);
  char first[9] = {};
  const auto bytes = std::as_writable_bytes(std::span(first));
  source->read(0, bytes.first(std::min<uint64_t>(source->size(), bytes.size())));
  // Safetensors first: its length may begin like anything, and no other format has this brace.
  if (first[8] == '{') return from_safetensors(path);
  if (std::string_view(first, 2) == "PK")
    return holds_module(source) ? from_mdlus(path, source) : from_torch(path, source);
  if (first[0] == '\x80') return from_torch(path, source);
  check<FormatError>(io::is_tar(*source), path,
                     ": neither safetensors nor .mdlus nor a file of torch.save");
  return from_mdlus(path, source);
}

bool holds_state_alone(const std::string& path) {
  return path.ends_with(".pt") || path.ends_with(".pth");
}

void write_model_file(const std::string& path, const std::string& class_name,
                      const std::string& config,
                      std::span<const std::pair<std::string, Tensor>> state, io::Metadata notes) {
  if (holds_state_alone(path)) return io::save_torch(path, state);
  if (path.ends_with(".mdlus")) {
    check<Error>(!class_name.empty(), "'", path,
                 "': .mdlus holds a module, and what is to be written says no class");
    return save_mdlus(path, class_name, config, state, notes);
  }
  check<Error>(path.ends_with(".safetensors"), "'", path,
               "': the name must end in .safetensors, .mdlus or .pt");
  if (!class_name.empty()) {
    notes[kClassKey] = class_name;
    notes[kConfigKey] = config;
  }
  io::save_safetensors(path, state, notes);
}

}  // namespace brume::nn
