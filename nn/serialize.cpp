#include <brume/nn/serialize.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include <brume/autograd/mode.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/io/quote.h>
#include <brume/nn/config_json.h>
#include <brume/nn/model_file.h>
#include <brume/nn/registry.h>

namespace brume::nn {
namespace {

std::vector<StoredTensor> offered_by(const NamedTensors& state) {
  std::vector<StoredTensor> out;
  for (const NamedTensor& t : state)
    out.push_back({t.name, t.tensor.shape(), t.tensor.dtype(), [x = t.tensor] { return x; }});
  return out;
}

// Drops and renames what older versions wrote; returns the keys that need not be there.
std::unordered_set<std::string> translate(const Module& module,
                                          std::vector<StoredTensor>& offered) {
  std::unordered_set<std::string> may_miss;
  for (const Module::Named& m : module.modules()) {
    const std::string prefix = m.path.empty() ? "" : m.path + ".";
    LegacyKeys legacy = m.module->legacy_keys();
    legacy.dropped.push_back("device_buffer");  // the reference's, up to version 1
    for (const std::string& key : legacy.may_miss) may_miss.insert(prefix + key);
    for (const std::string& beginning : legacy.dropped)
      std::erase_if(offered,
                    [&](const StoredTensor& o) { return o.name.starts_with(prefix + beginning); });
    for (const auto& [before, after] : legacy.renamed)
      for (StoredTensor& o : offered)
        if (o.name.starts_with(prefix + before))
          o.name = prefix + after + o.name.substr(prefix.size() + before.size());
  }
  return may_miss;
}

constexpr size_t kLongestKey = 200;  // in a message: the text comes from a file

std::string list_of(const char* what, const std::vector<std::string>& keys) {
  if (keys.empty()) return "";
  std::string out = cat("\n  ", what, ":");
  constexpr size_t kMostListed = 3;
  for (size_t i = 0; i < std::min(keys.size(), kMostListed); ++i)
    out += cat(i == 0 ? " " : ", ", io::printable(keys[i], kLongestKey));
  if (keys.size() > kMostListed) out += cat(" and ", keys.size() - kMostListed, " more");
  return out;
}

struct Match {
  std::vector<std::pair<Tensor, const StoredTensor*>> pairs;
  KeyReport report;
};

// Pairs the module's tensors with what is offered. Nothing is read or written.
Match match(const Module& module, std::vector<StoredTensor>& offered, const std::string& who,
            Strictness strictness) {
  const std::unordered_set<std::string> may_miss = translate(module, offered);
  std::unordered_map<std::string, const StoredTensor*> by_key;
  for (const StoredTensor& o : offered)
    check<FormatError>(by_key.emplace(o.name, &o).second, who, ": the key ", io::quote(o.name),
                       " is there twice, once under its older name");
  Match out;
  std::vector<std::string> misshapen;
  std::unordered_set<const StoredTensor*> used;
  for (const NamedTensor& t : module.state()) {
    const auto found = by_key.find(t.name);
    if (found == by_key.end()) {
      if (!may_miss.contains(t.name)) out.report.missing.push_back(t.name);
      continue;
    }
    const StoredTensor& o = *found->second;
    used.insert(&o);
    if (o.shape != t.tensor.shape())
      misshapen.push_back(cat(t.name, " is ", o.shape, ", but the module has ", t.tensor.shape()));
    out.pairs.emplace_back(t.tensor, &o);
  }
  for (const StoredTensor& o : offered)
    if (!used.contains(&o)) out.report.unexpected.push_back(o.name);

  const bool keys_fit = strictness == Strictness::loose ||
                        (out.report.missing.empty() && out.report.unexpected.empty());
  if (keys_fit && misshapen.empty()) return out;
  const std::string keys = keys_fit ? ""
                                    : list_of("missing", out.report.missing) +
                                          list_of("unexpected", out.report.unexpected);
  throw FormatError(
      cat(who, ": does not fit ", module.class_name(), keys, list_of("other shape", misshapen)));
}

// Values are read by as many threads as there are: checksums take longer than the reading.
std::vector<Tensor> read_all(const std::vector<std::pair<Tensor, const StoredTensor*>>& pairs,
                             bool convert_them) {
  std::vector<Tensor> values(pairs.size());
  cpu::parallel_chunks(static_cast<int64_t>(pairs.size()), [&](int64_t i) {
    const auto& [target, source] = pairs[static_cast<size_t>(i)];
    const Tensor x = source->read();
    values[static_cast<size_t>(i)] = convert_them ? convert(x, target.dtype()) : x;
  });
  return values;
}

// Numbers that both types hold are the same up to this part of them: twice their rounding, or where
// they were computed, not rounded, a few of them.
double likeness(DType a, DType b) {
  if (a == DType::bf16 || b == DType::bf16) return 0x1p-7;
  return a == DType::f16 || b == DType::f16 ? 0x1p-10 : 0x1p-21;
}

// x was stored as `stored`, whatever it has been converted to since.
bool nearly_same(const Tensor& x, DType stored, const Tensor& y) {
  const std::vector<double> a = x.to_vector<double>(), b = y.to_vector<double>();
  const double part = likeness(stored, y.dtype());
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= part * std::abs(b[i]))) return false;  // a NaN is not the same
  return true;
}

void check_fixed_buffers(const Module& module, const Match& fits, const std::vector<Tensor>& values,
                         const std::string& who) {
  for (const NamedTensor& wanted : module.fixed_buffers())
    for (size_t i = 0; i < values.size(); ++i)
      if (fits.pairs[i].first.handle() == wanted.tensor.handle())
        check<FormatError>(nearly_same(values[i], fits.pairs[i].second->dtype, wanted.tensor), who,
                           ": ", wanted.name, " is ", values[i], " in the file, but ",
                           wanted.tensor,
                           " by the arguments; the weights were trained with another one");
}

KeyReport load_offered(Module& module, std::vector<StoredTensor> offered, const std::string& who,
                       Strictness strictness) {
  Match fits = match(module, offered, who, strictness);
  const std::vector<Tensor> values = read_all(fits.pairs, false);
  check_fixed_buffers(module, fits, values, who);
  const NoGrad no_grad;
  for (size_t i = 0; i < values.size(); ++i) copy_(fits.pairs[i].first, values[i]);
  return std::move(fits.report);
}

// Replaces arguments of the module {"module": class, "args": {...}}, or of those it nests.
void override_arguments(Json& module, const Json& changes, const std::string& who) {
  check<FormatError>(changes.is_object(), who, ": override_args wants an object");
  for (const auto& change : changes.items()) {
    const std::string shown = io::quote(change.key());
    Json* target = &module;
    size_t begin = 0;
    for (size_t dot; (dot = change.key().find('.', begin)) != std::string::npos; begin = dot + 1) {
      Json& arguments = (*target)["args"];
      const auto nested = arguments.find(change.key().substr(begin, dot - begin));
      check<FormatError>(nested != arguments.end() && nested->is_object() &&
                             nested->contains("module") && nested->contains("args"),
                         who, ": override_args: ", shown, " leads to no module");
      target = &*nested;
    }
    const std::string name = change.key().substr(begin);
    const std::string class_name = (*target)["module"].get<std::string>();
    const std::vector<std::string> allowed = overridable_arguments(class_name);
    check<FormatError>(std::find(allowed.begin(), allowed.end(), name) != allowed.end(), who,
                       ": override_args: the argument ", shown, " of ", io::printable(class_name),
                       " cannot be replaced");
    (*target)["args"][name] = change.value();
  }
}

// A file of a class that load cannot find by name would be lost. Classes of ours outside of nn are
// registered by what loads them, such as diffusion::load, so they may be written before.
void check_registered(const Module& module, const std::string& path) {
  const std::string name = qualified_name(typeid(module));
  check<Error>(
      !registered_name(typeid(module)).empty() || name.starts_with("brume::"), "save: '", path,
      "' is to hold a ", name,
      ", which is not registered, so that no program could load it; call "
      "nn::register_class<",
      module.class_name(), ">(\"", module.class_name(),
      "\") first (of a diffusion model: diffusion::register_model), or write .pt, which holds the "
      "state alone");
}

// The same of the modules among a module's arguments.
class CheckRegistered final : public Fields {
 public:
  CheckRegistered(const Module& module, const std::string& path) : path_(path) { visit(module); }

 private:
  void scalar(Ref<Module>& x) override {
    if (x) visit(*x);
  }
  void visit(const Module& module) {
    check_registered(module, path_);
    module.visit_config(*this);
  }

  const std::string& path_;
};

}  // namespace

void save(const Module& module, const std::string& path, io::Metadata notes) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (NamedTensor& t : module.state()) tensors.emplace_back(std::move(t.name), t.tensor);
  if (!holds_state_alone(path)) CheckRegistered(module, path);
  write_model_file(path, module.class_name(), module.config_json(), tensors, std::move(notes));
}

Ref<Module> load(const std::string& path, const LoadOptions& options) {
  return load(open_model_file(path), options);
}

Ref<Module> load(ModelFile file, const LoadOptions& options) {
  const std::string who = cat("load: '", file.path, "'");
  check<FormatError>(!file.class_name.empty(), who,
                     " does not say of which class it is; make the module and use load_state");
  Json described{{"module", file.class_name}, {"args", parse_json(file.config, file.path)}};
  if (!options.override_args.empty())
    override_arguments(described, parse_json(options.override_args, "override_args"), who);
  Ref<Module> module;
  {
    const Construction shapes(Construction::Mode::shapes_only);
    module = construct_once(file.class_name, described["args"]);
  }
  const Match fits = match(*module, file.tensors, who, Strictness::strict);
  const std::vector<Tensor> values = read_all(fits.pairs, true);
  check_fixed_buffers(*module, fits, values, who);
  for (size_t i = 0; i < values.size(); ++i) detail::replace_memory(fits.pairs[i].first, values[i]);
  return module;
}

KeyReport load_state(Module& module, const std::string& path, Strictness strictness) {
  return load_offered(module, open_model_file(path).tensors, cat("load: '", path, "'"), strictness);
}

KeyReport load_state(Module& module, const std::string& path, const KeyTable& keys,
                     Strictness strictness) {
  std::vector<StoredTensor> tensors = open_model_file(path).tensors;
  for (StoredTensor& t : tensors) t.name = renamed_key(t.name, keys);
  std::erase_if(tensors, [](const StoredTensor& t) { return t.name.empty(); });
  return load_offered(module, std::move(tensors), cat("load: '", path, "'"), strictness);
}

KeyReport load_state(Module& module, const NamedTensors& state, Strictness strictness) {
  return load_offered(module, offered_by(state), "load_state", strictness);
}

}  // namespace brume::nn
