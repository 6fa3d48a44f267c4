// Files in other formats: section 2.5 of the format.

#include <map>

#include <brume/core/io/torch_pt.h>
#include <brume/diffusion/model.h>
#include <brume/nn/model_file.h>

#include "tests/conformance/gradients.h"
#include "tests/conformance/kinds.h"
#include "tests/conformance/modules.h"

namespace brume::conformance {
namespace {

// Compares a value of torch's with the case's `tree`, all the way down.
class TreeCheck {
 public:
  TreeCheck(const CaseFile& file, const io::TorchFile& found, Findings& findings)
      : file_(file), found_(found), findings_(findings) {}

  void check_value(io::TorchValue found, const Value& wanted, const std::string& path) {
    using Kind = io::TorchKind;
    const Kind kind = found.kind();
    if (const Value* key = wanted.find("tensor"))
      return check_tensor(found, wanted, key->text("tensor"));
    if (const Value* pairs = wanted.find("dict")) {
      const List& list = pairs->list("dict");
      if (!agree(kind == Kind::dict && found.size() == list.size(), path)) return;
      for (size_t i = 0; i < list.size(); ++i) {
        const List& pair = list[i].list("pair");
        check_value(found.key(i), pair.at(0), cat(path, "/key ", i));
        check_value(found.item(i), pair.at(1), cat(path, "/", i));
      }
      return;
    }
    for (const auto& [name, wanted_kind] :
         {std::pair{"list", Kind::list}, {"tuple", Kind::tuple}, {"size", Kind::size}})
      if (const Value* items = wanted.find(name)) {
        const List& list = items->list(name);
        if (!agree(kind == wanted_kind && found.size() == list.size(), path)) return;
        for (size_t i = 0; i < list.size(); ++i)
          wanted_kind == Kind::size
              ? void(agree(found.item(i).integer() == list[i].integer(path), path))
              : check_value(found.item(i), list[i], cat(path, "/", i));
        return;
      }
    if (const Value* dtype = wanted.find("dtype"))
      return void(agree(kind == Kind::dtype && found.text() == dtype->text("dtype"), path));
    check_plain(found, wanted.at("value"), path);
  }

 private:
  void check_plain(io::TorchValue found, const Value& wanted, const std::string& path) {
    using Kind = io::TorchKind;
    const auto* text = wanted.get_if<std::string>();
    const auto* integer = wanted.get_if<int64_t>();
    const auto* boolean = wanted.get_if<bool>();
    switch (found.kind()) {
      case Kind::none:
        return void(agree(wanted.is_null(), path));
      case Kind::boolean:
        return void(agree(boolean && found.boolean() == *boolean, path));
      case Kind::integer:
        return void(agree(integer && found.integer() == *integer, path));
      case Kind::number:
        return void(agree(wanted.is_number() && found.number() == wanted.number(path), path));
      case Kind::text:
        return void(agree(text && found.text() == *text, path));
      case Kind::big_integer:  // which JSON's numbers do not hold either
        return void(agree(wanted.get_if<double>() != nullptr, path));
      default:
        agree(false, path);
    }
  }

  void check_tensor(io::TorchValue found, const Value& wanted, const std::string& key) {
    if (!agree(found.kind() == io::TorchKind::tensor, key)) return;
    const io::TorchTensor& t = found.tensor();
    const auto integers = [&](const char* name) { return wanted.at(name).integers(name); };
    const auto flag = [&](const char* name) {
      const Value* value = wanted.find(name);
      return value && value->boolean(name);
    };
    agree(std::vector<int64_t>(t.shape.begin(), t.shape.end()) == integers("shape"), key);
    agree(std::vector<int64_t>(t.strides.begin(), t.strides.end()) == integers("stride"), key);
    agree(t.offset == wanted.at("storage_offset").integer("storage_offset"), key);
    agree(t.is_parameter == flag("parameter"), key);
    agree(t.requires_grad == flag("requires_grad"), key);
    // Equal numbers there are equal numbers here.
    const int64_t number = wanted.at("storage").integer("storage");
    agree(storages_.try_emplace(number, t.storage).first->second == t.storage, key);
    agree(numbers_.try_emplace(t.storage, number).first->second == number, key);
    findings_.compare(transfer(found_.read(t), file_.device()), key);
  }

  bool agree(bool holds, const std::string& path) {
    findings_.require(holds, path, "the tree differs here");
    return holds;
  }

  const CaseFile& file_;
  const io::TorchFile& found_;
  Findings& findings_;
  std::map<int64_t, uint32_t> storages_;
  std::map<uint32_t, int64_t> numbers_;
};

void check_torch(const CaseFile& file, const std::string& path, Findings& findings) {
  const io::TorchFile found = io::open_torch(path);
  TreeCheck(file, found, findings).check_value(found.root(), file.description().at("tree"), "tree");
}

void check_safetensors(const CaseFile& file, const std::string& path, Findings& findings) {
  const nn::ModelFile found = nn::open_model_file(path);
  const Map& metadata = file.description().at("metadata").map("metadata");
  findings.require(found.notes.size() == metadata.size(), "metadata", "other entries");
  for (const auto& [key, value] : metadata) {
    const auto note = found.notes.find(key);
    findings.require(note != found.notes.end() && note->second == value.text(key), key,
                     "the metadata differ");
  }
  findings.require(found.tensors.size() == file.description().at("entries").map("entries").size(),
                   "entries", "other tensors");
  for (const nn::StoredTensor& t : found.tensors)
    findings.compare(transfer(t.read(), file.device()), cat("state/", t.name));
}

// The whole state in one table of statistics, and what the module computes.
void check_module(const CaseFile& file, const std::string& path, Findings& findings) {
  const Value& description = file.description();
  const std::string& class_name = description.at("class").text("class");
  if (!is_module(class_name)) throw UnknownTarget(class_name);
  nn::LoadOptions options;
  if (const Value* changes = description.find("override_args"))
    options.override_args = to_json(*changes);
  const nn::Ref<nn::Module> module = diffusion::load(path, options);
  findings.require(module->class_name() == class_name, "class", module->class_name());
  std::vector<double> rows;
  size_t row = 0;
  const List& names = description.at("state_names").list("state_names");
  for (const nn::NamedTensor& t : module->state()) {
    findings.require(row < names.size() && names[row].text("state_names") == t.name, t.name,
                     "the state has other keys, or in another order");
    const std::vector<double> numbers = statistics(t.tensor);
    rows.insert(rows.end(), numbers.begin(), numbers.end());
    ++row;
  }
  findings.require(row == names.size(), "state_names", "the state lacks keys");
  findings.compare_statistics(from_vector(rows, {static_cast<int64_t>(row), 3}), "state_stats");

  module->to(file.device());
  module->train(description.at("mode").text("mode") == "train");
  Scope scope(file);
  scope.define("module", module_value(class_name, module));
  const Tensors results = flatten(scope.call("module", scope.decode_call(description.at("call"))));
  findings.require(results.size() == 1, "outputs", "wanted one");
  findings.compare(results.at(0), "out/0");
}

}  // namespace

void run_checkpoint(const CaseFile& file, Findings& findings) {
  const Value& description = file.description();
  const std::string& format = description.at("format_name").text("format_name");
  const std::string path = io::join_path(file.folder(), description.at("file").text("file"));
  if (format == "mdlus") return check_module(file, path, findings);
  if (format == "torch") return check_torch(file, path, findings);
  if (format == "safetensors") return check_safetensors(file, path, findings);
  throw UnknownTarget(cat("format ", format));
}

void run_refusal(const std::string& path, const Value& description, Findings& findings) {
  const bool may_load = description.at("expected").text("expected") != "refuse";
  std::string refusal;
  try {
    if (description.at("format").text("format") == "mdlus")
      (void)diffusion::load(path);
    else
      for (const nn::StoredTensor& t : nn::open_model_file(path).tensors) (void)t.read();
  } catch (const Error& error) {
    refusal = error.what();
  }
  findings.require(may_load || !refusal.empty(), "expected", "the file loads, and should not");
  // A class that is not known would be a reason of its own.
  findings.require(refusal.find("no class is registered") == refusal.npos, "expected", refusal);
}

}  // namespace brume::conformance
