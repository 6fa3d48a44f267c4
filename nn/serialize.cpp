#include <brume/nn/serialize.h>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include <brume/autograd/mode.h>
#include <brume/core/io/safetensors.h>
#include <brume/nn/config_json.h>
#include <brume/nn/registry.h>

namespace brume::nn {
namespace {

// A tensor that a file (or a list) has; read only after everything has been found to fit.
struct Offered {
  std::string key;
  Shape shape;
  std::function<Tensor()> read;
};

std::vector<Offered> offered_by(const NamedTensors& state) {
  std::vector<Offered> out;
  for (const NamedTensor& t : state)
    out.push_back({t.name, t.tensor.shape(), [x = t.tensor] { return x; }});
  return out;
}

std::vector<Offered> offered_by(const io::SafetensorsFile& file) {
  std::vector<Offered> out;
  for (const io::SafetensorsEntry& e : file.entries())
    out.push_back({e.name, e.array.shape, [&file, &e] { return file.read(e); }});
  return out;
}

bool begins_with(const std::string& text, const std::string& beginning) {
  return text.compare(0, beginning.size(), beginning) == 0;
}

// Drops and renames what older versions wrote; returns the keys that need not be there.
std::unordered_set<std::string> translate(const Module& module, std::vector<Offered>& offered) {
  std::unordered_set<std::string> may_miss;
  for (const Module::Named& m : module.modules()) {
    const std::string prefix = m.path.empty() ? "" : m.path + ".";
    LegacyKeys legacy = m.module->legacy_keys();
    legacy.dropped.push_back("device_buffer");  // the reference's, up to version 1
    for (const std::string& key : legacy.may_miss) may_miss.insert(prefix + key);
    for (const std::string& beginning : legacy.dropped)
      std::erase_if(offered,
                    [&](const Offered& o) { return begins_with(o.key, prefix + beginning); });
    for (const auto& [before, after] : legacy.renamed)
      for (Offered& o : offered)
        if (begins_with(o.key, prefix + before))
          o.key = prefix + after + o.key.substr(prefix.size() + before.size());
  }
  return may_miss;
}

std::string list_of(const char* what, const std::vector<std::string>& keys) {
  if (keys.empty()) return "";
  std::string out = cat("\n  ", what, ":");
  for (size_t i = 0; i < keys.size(); ++i) out += cat(i == 0 ? " " : ", ", keys[i]);
  return out;
}

struct Match {
  std::vector<std::pair<Tensor, const Offered*>> pairs;
  KeyReport report;
};

// Pairs the module's tensors with what is offered. Nothing is read or written.
Match match(const Module& module, std::vector<Offered>& offered, const std::string& who,
            Strictness strictness) {
  const std::unordered_set<std::string> may_miss = translate(module, offered);
  std::unordered_map<std::string, const Offered*> by_key;
  for (const Offered& o : offered)
    check<FormatError>(by_key.emplace(o.key, &o).second, who, ": the key '", o.key,
                       "' is there twice, once under its older name");
  Match out;
  std::vector<std::string> misshapen;
  std::unordered_set<const Offered*> used;
  for (const NamedTensor& t : module.state()) {
    const auto found = by_key.find(t.name);
    if (found == by_key.end()) {
      if (!may_miss.contains(t.name)) out.report.missing.push_back(t.name);
      continue;
    }
    const Offered& o = *found->second;
    used.insert(&o);
    if (o.shape != t.tensor.shape())
      misshapen.push_back(cat(t.name, " is ", o.shape, ", but the module has ", t.tensor.shape()));
    out.pairs.emplace_back(t.tensor, &o);
  }
  for (const Offered& o : offered)
    if (!used.contains(&o)) out.report.unexpected.push_back(o.key);

  const bool keys_fit = strictness == Strictness::loose ||
                        (out.report.missing.empty() && out.report.unexpected.empty());
  if (!keys_fit || !misshapen.empty())
    throw FormatError(
        cat(who, ": does not fit ", module.class_name(), list_of("missing", out.report.missing),
            list_of("unexpected", out.report.unexpected), list_of("other shape", misshapen)));
  return out;
}

KeyReport load_offered(Module& module, std::vector<Offered> offered, const std::string& who,
                       Strictness strictness) {
  Match fits = match(module, offered, who, strictness);
  std::vector<Tensor> values;
  for (const auto& [target, source] : fits.pairs) values.push_back(source->read());
  const NoGrad no_grad;
  for (size_t i = 0; i < values.size(); ++i) copy_(fits.pairs[i].first, values[i]);
  return std::move(fits.report);
}

std::string metadata_of(const io::SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  check<FormatError>(found != file.metadata().end(), "load: '", file.path(),
                     "' does not say of which class it is; make the module and use load_state");
  return found->second;
}

}  // namespace

void save(const Module& module, const std::string& path, io::Metadata notes) {
  check<Error>(path.ends_with(".safetensors"), "save: the name must end in .safetensors, got '",
               path, "'");
  notes[kClassKey] = module.class_name();
  notes[kConfigKey] = module.config_json();
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (NamedTensor& t : module.state()) tensors.emplace_back(std::move(t.name), t.tensor);
  io::save_safetensors(path, tensors, notes);
}

Ref<Module> load(const std::string& path) {
  const io::SafetensorsFile file = io::open_safetensors(path);
  const std::string class_name = metadata_of(file, kClassKey);
  const std::string config = metadata_of(file, kConfigKey);
  Ref<Module> module;
  {
    const Construction shapes(Construction::Mode::shapes_only);
    module = construct_once(class_name, parse_json(config, path));
  }
  std::vector<Offered> offered = offered_by(file);
  for (const auto& [target, source] :
       match(*module, offered, cat("load: '", path, "'"), Strictness::strict).pairs)
    detail::replace_memory(target, convert(source->read(), target.dtype()));
  return module;
}

KeyReport load_state(Module& module, const std::string& path, Strictness strictness) {
  const io::SafetensorsFile file = io::open_safetensors(path);
  return load_offered(module, offered_by(file), cat("load_state: '", path, "'"), strictness);
}

KeyReport load_state(Module& module, const NamedTensors& state, Strictness strictness) {
  return load_offered(module, offered_by(state), "load_state", strictness);
}

}  // namespace brume::nn
