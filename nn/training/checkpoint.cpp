#include <brume/nn/training/checkpoint.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include <brume/core/io/quote.h>
#include <brume/core/io/safetensors.h>
#include <brume/core/json.h>
#include <brume/nn/model_file.h>
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

NamedTensors read_prefixed(const io::SafetensorsFile& file, std::string_view prefix) {
  NamedTensors out;
  for (const auto& entry : file.entries())
    if (entry.name.starts_with(prefix))
      out.push_back({entry.name.substr(prefix.size()), file.read(entry)});
  return out;
}

const std::string& metadata_of(const io::SafetensorsFile& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  check<FormatError>(found != file.metadata().end(), "'", file.path(),
                     "' is no training checkpoint: its metadata has no '", key, "'");
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

Position read_position(const io::SafetensorsFile& file) {
  const Json json = parse_json(metadata_of(file, kTrainKey), file.path());
  try {
    const Json &rng = json.at("rng"), &loss = json.at("loss");
    return {.step = count(json.at("step")),
            .cursor = count(json.at("cursor")),
            .averages = count(json.at("averages")),
            .seed = whole_number(rng.at(0), UINT64_MAX),
            .offset = whole_number(rng.at(1), UINT64_MAX),
            .loss = {.sum = loss.at(0).get<double>(), .count = count(loss.at(1))}};
  } catch (const std::exception& error) {
    throw FormatError(
        cat("'", file.path(), "': its training position cannot be read: ", error.what()));
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
  const io::SafetensorsFile file = io::open_safetensors(path);
  const Position position = read_position(file);
  const NamedTensors model = read_prefixed(file, kModel);
  const NamedTensors averages = read_prefixed(file, kAverages);
  const NamedTensors optimizer = read_prefixed(file, kOptimizer);
  check<FormatError>(metadata_of(file, kClassKey) == state.model.class_name(), "'", path,
                     "' is the checkpoint of a ", io::printable(metadata_of(file, kClassKey)),
                     ", this model is a ", state.model.class_name());
  const std::vector<Difference> differences =
      config_differences(metadata_of(file, kConfigKey), state.model.config_json());
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

Ref<Module> load_averaged(const std::string& path) {
  const io::SafetensorsFile file = io::open_safetensors(path);
  (void)read_position(file);
  Ref<Module> module = construct(metadata_of(file, kClassKey), metadata_of(file, kConfigKey));
  load_state(*module, read_prefixed(file, kModel));
  const KeyReport report =
      load_state(*module, read_prefixed(file, kAverages), Strictness::loose);  // no buffers
  check<FormatError>(report.unexpected.empty(), "'", path, "': it has averages of what ",
                     module->class_name(), " has not");
  for (const NamedTensor& p : module->parameters())
    check<FormatError>(
        std::find(report.missing.begin(), report.missing.end(), p.name) == report.missing.end(),
        "'", path, "': it has no average of '", p.name, "'");
  module->eval();
  return module;
}

bool is_checkpoint(const std::string& path) {
  return open_model_file(path).notes.contains(kTrainKey);
}

}  // namespace brume::nn
