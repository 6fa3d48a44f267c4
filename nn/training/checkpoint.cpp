#include <brume/nn/training/checkpoint.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include <brume/core/io/quote.h>
#include <brume/core/json.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

namespace brume::nn {
namespace {

constexpr const char* kTrainKey = "brume.train";
constexpr std::string_view kModel = "model.", kAverages = "ema.", kOptimizer = "optimizer.";

using Tensors = std::vector<std::pair<std::string, Tensor>>;

void add_prefixed(Tensors& out, std::string_view prefix, const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) out.emplace_back(cat(prefix, name), tensor);
}

NamedTensors read_prefixed(const ModelFile& file, std::string_view prefix) {
  NamedTensors out;
  for (const StoredTensor& t : file.tensors)
    if (t.name.starts_with(prefix)) out.push_back({t.name.substr(prefix.size()), t.read()});
  return out;
}

// Tensors of none of the three would be lost when the run goes on.
void check_prefixes(const ModelFile& file) {
  for (const StoredTensor& t : file.tensors)
    check<FormatError>(t.name.starts_with(kModel) || t.name.starts_with(kAverages) ||
                           t.name.starts_with(kOptimizer),
                       "'", file.path, "': the tensor ", io::quote(t.name),
                       " is none of a training checkpoint");
}

// A checkpoint's notes on its training; it says its class and arguments as every model file.
const std::string& training_notes(const ModelFile& file) {
  const auto found = file.notes.find(kTrainKey);
  const char* missing = found == file.notes.end() ? kTrainKey
                        : file.class_name.empty() ? kClassKey
                        : file.config.empty()     ? kConfigKey
                                                  : nullptr;
  check<FormatError>(missing == nullptr, "'", file.path,
                     "' is no training checkpoint: its metadata has no '", missing ? missing : "",
                     "'");
  return found->second;
}

struct Position {
  int64_t step, cursor, averages;
  uint64_t seed, offset;
  RunningMean loss;
};

// JSON reads 1.5 and -1 as whole numbers too, to its own taste.
uint64_t whole_number(const Json& value, uint64_t most) {
  check<FormatError>(value.is_number_unsigned() && value.get<uint64_t>() <= most,
                     "wanted a whole number from 0 to ", most, ", got ",
                     io::printable(dump_json(value)));
  return value.get<uint64_t>();
}

// Up to 2^53, from where it can still be counted on.
int64_t count(const Json& value) {
  return static_cast<int64_t>(whole_number(value, uint64_t{1} << 53));
}

Position read_position(const ModelFile& file) {
  const Json json = parse_json(training_notes(file), file.path);
  const auto unreadable = [&](const char* why) {
    return FormatError(cat("'", file.path, "': its training position cannot be read: ", why));
  };
  try {
    const Json &rng = json.at("rng"), &loss = json.at("loss");
    return {.step = count(json.at("step")),
            .cursor = count(json.at("cursor")),
            .averages = count(json.at("averages")),
            .seed = whole_number(rng.at(0), UINT64_MAX),
            .offset = whole_number(rng.at(1), UINT64_MAX),
            .loss = {.sum = loss.at(0).get<double>(), .count = count(loss.at(1))}};
  } catch (const FormatError& error) {
    throw unreadable(error.what());
  } catch (const Json::exception& error) {  // a key is missing, or a value of another type
    throw unreadable(error.what());
  }
}

}  // namespace

void save_checkpoint(const std::string& path, const TrainState& state, io::Metadata notes) {
  check<Error>(!state.rng.is_torch() && state.rng.recording() == nullptr, "save_checkpoint: '",
               path,
               "' would keep the generator's seed and offset, from which only a Philox generator "
               "goes on; train with Generator(seed)");
  Tensors tensors;
  add_prefixed(tensors, kModel, state.model.state());
  add_prefixed(tensors, kAverages, state.ema.averages());
  add_prefixed(tensors, kOptimizer, state.optimizer.state());
  const Json position{{"step", state.step},
                      {"cursor", state.loader.cursor()},
                      {"averages", state.ema.updates()},
                      {"rng", {state.rng.seed(), state.rng.offset()}},
                      {"loss", {state.loss.sum, state.loss.count}}};
  notes[kClassKey] = state.model.class_name();
  notes[kConfigKey] = state.model.config_json();
  notes[kTrainKey] = dump_json(position);
  io::save_safetensors(path, tensors, notes);
}

void load_checkpoint(const std::string& path, TrainState& state) {
  const ModelFile file = open_model_file(path);
  const Position position = read_position(file);
  check_prefixes(file);
  const NamedTensors model = read_prefixed(file, kModel);
  const NamedTensors averages = read_prefixed(file, kAverages);
  const NamedTensors optimizer = read_prefixed(file, kOptimizer);
  check<FormatError>(file.class_name == state.model.class_name(), "'", path,
                     "' is the checkpoint of a ", io::printable(file.class_name),
                     ", this model is a ", state.model.class_name());
  const std::vector<Difference> differences =
      config_differences(file.config, state.model.config_json());
  check<FormatError>(differences.empty(), "'", path,
                     "' is the checkpoint of another model: ", to_string(differences));
  // All that can refuse does so before anything changes; the model refuses as load_state begins.
  Loader::check_seek(position.cursor);
  state.ema.check_load(averages);
  state.optimizer.check_load_state(optimizer);
  load_state(state.model, model);
  state.ema.load(averages, position.averages);
  state.optimizer.load_state(optimizer);
  state.loader.seek(position.cursor);
  state.rng = Generator(position.seed);
  state.rng.set_offset(position.offset);
  state.loss = position.loss;
  state.step = position.step;
}

Ref<Module> load_averaged(const ModelFile& file) {
  (void)read_position(file);
  Ref<Module> module = construct(file.class_name, file.config);
  load_state(*module, read_prefixed(file, kModel));
  const KeyReport report =
      load_state(*module, read_prefixed(file, kAverages), Strictness::loose);  // no buffers
  check<FormatError>(report.unexpected.empty(), "'", file.path, "': it has averages of what ",
                     module->class_name(), " has not");
  for (const NamedTensor& p : module->parameters())
    check<FormatError>(
        std::find(report.missing.begin(), report.missing.end(), p.name) == report.missing.end(),
        "'", file.path, "': it has no average of '", p.name, "'");
  module->eval();
  return module;
}

Ref<Module> load_averaged(const std::string& path) { return load_averaged(open_model_file(path)); }

bool is_checkpoint(const ModelFile& file) { return file.notes.contains(kTrainKey); }
bool is_checkpoint(const std::string& path) { return is_checkpoint(open_model_file(path)); }

}  // namespace brume::nn
