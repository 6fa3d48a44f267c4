#include "run_options.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include <brume/core/io/fs.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/quote.h>
#include <brume/core/json.h>
#include <brume/diffusion/builtin.h>
#include <brume/nn/config_json.h>
#include <brume/nn/data/png_folder.h>

#include "unknown_class.h"

namespace brume::io {

nn::Names names_of(Colours) {
  static constexpr const char* names[] = {"plain", "blue_red"};
  return names;
}

}  // namespace brume::io

namespace brume::tools {
namespace {

// A list, an object, a string in quotation marks, or nothing but the letters of a number.
bool is_meant_as_json(const std::string& text) {
  return !text.empty() && (text.find_first_of("[{\"") == 0 ||
                           text.find_first_not_of("0123456789+-.eE") == std::string::npos);
}

// "optimizer.lr=1e-4": the value is JSON, or else a string.
void apply_change(Json& json, const std::string& change) {
  const size_t equals = change.find('=');
  check<FormatError>(equals != std::string::npos && equals > 0, "--set: wants key=value, got '",
                     change, "'");
  Json* place = &json;
  std::string path = change.substr(0, equals);
  for (size_t begin = 0; begin <= path.size();) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    check<FormatError>(place->is_object() || place->is_null(), "--set: '", path.substr(0, begin),
                       "' is no object");
    place = &(*place)[path.substr(begin, dot - begin)];
    begin = dot + 1;
  }
  const std::string text = change.substr(equals + 1);
  try {
    *place = parse_json(text, "--set");
  } catch (const FormatError& error) {
    if (is_meant_as_json(text)) throw FormatError(cat("--set ", path, "=: ", error.what()));
    *place = text;
  }
}

Tensor read_array(const char* option, const std::string& path, const char* wanted) {
  try {
    return io::read_npy(path);
  } catch (const FormatError& error) {
    throw FormatError(cat(option, ": wants ", wanted, ": ", error.what()));
  }
}
Tensor read_labels(const DataOptions& o) {
  return read_array("data.labels", o.labels, "a .npy file");
}

nn::LabelledImages read_samples(const DataOptions& o) {
  if (io::file_status(o.x).kind != io::FileKind::folder)
    return {.x = read_array("data.x", o.x, "a .npy file or a folder of PNG pictures"),
            .labels = o.labels.empty() ? Tensor{} : read_labels(o)};
  nn::LabelledImages images = nn::read_png_folder(o.x);
  check<Error>(o.labels.empty() || !images.labels.defined(), "data.labels: leave it out; '", o.x,
               "' has a sub-folder for each class");
  if (!o.labels.empty()) images.labels = read_labels(o);
  return images;
}

std::shared_ptr<const nn::Dataset> read_data(const DataOptions& o) {
  for (const auto& [name, path] : {std::pair{"data.x", &o.x}, std::pair{"data.labels", &o.labels}})
    check<IoError>(
        path->empty() || io::file_status(*path).kind != io::FileKind::missing, name,
        ": there is no '", *path,
        "'; paths begin at the folder that brume runs in, and --data and --labels say where "
        "the data are now");
  const nn::LabelledImages samples = read_samples(o);
  check(samples.x.numel() > 0, "data.x '", o.x, "' holds nothing: its shape is ", samples.x.shape(),
        ", wanted [N, ...] with at least one sample");
  try {
    return std::make_shared<nn::ArrayDataset>(samples.x, samples.labels, o.scale, o.shift);
  } catch (const Error& error) {
    throw ShapeError(cat("data.x '", o.x, "'",
                         o.labels.empty() ? "" : cat(" with data.labels '", o.labels, "'"), ": ",
                         error.what()));
  }
}

}  // namespace

nn::Names names_of(OptimizerName) {
  static constexpr const char* names[] = {"adam", "adamw", "sgd"};
  return names;
}
nn::Names names_of(Task) {
  static constexpr const char* names[] = {"diffusion", "classification"};
  return names;
}

RunOptions read_run_options(const std::string& path, const std::vector<std::string>& changes,
                            std::optional<int64_t> seed, nn::Construction::Mode mode) {
  const std::string text = io::read_file(path, kMaxJsonBytes);
  const size_t first = text.find_first_not_of(" \t\r\n");
  check<FormatError>(first != text.npos && text[first] == '{', path,
                     ": wants a JSON object of options, such as examples/digits/diffusion.json");
  Json json = parse_json(text, path);
  for (const std::string& change : changes) apply_change(json, change);
  if (seed) json["seed"] = *seed;
  const bool has_seed = json.contains("seed") && json["seed"].is_number_integer();
  // The model among the options is constructed while they are read, so its seed comes first.
  const int64_t weights_seed = has_seed ? json["seed"].get<int64_t>() : RunOptions{}.seed;
  diffusion::register_builtin();
  if (const auto unknown = unknown_class(json))
    throw FormatError(cat(path, ": ", unknown->place, ": there is no class ",
                          io::quote(unknown->name), nearest_class(unknown->name),
                          " (docs/backbones.md and docs/diffusion.md list them)"));
  const auto read = [&](nn::Construction::Mode how) {
    Generator weights = generator_of(weights_seed, Stream::weights);
    const nn::Construction construction(how, &weights);
    RunOptions options;
    nn::read_config(json, path, [&](nn::Fields& v) { v.value(options); });
    return options;
  };
  // Without memory first, so that an absurd size is refused before anything is allocated.
  RunOptions options = read(nn::Construction::Mode::shapes_only);
  if (mode != nn::Construction::Mode::shapes_only) options = read(mode);
  for (const auto& [name, value] : {std::pair{"batch_size", options.batch_size},
                                    {"steps", options.steps},
                                    {"report_steps", options.report_steps},
                                    {"checkpoint_steps", options.checkpoint_steps},
                                    {"keep_checkpoints", options.keep_checkpoints}})
    check(value >= 1, path, ": ", name, " must be at least 1, got ", value);
  for (const auto& [name, value] : {std::pair{"sample_steps", options.sample_steps},
                                    {"optimizer.warmup_steps", options.optimizer.warmup_steps}})
    check(value >= 0, path, ": ", name, " must not be negative, got ", value);
  check(options.optimizer.clip_norm >= 0, path, ": optimizer.clip_norm must not be negative, got ",
        options.optimizer.clip_norm);
  check(std::isfinite(options.data.scale) && options.data.scale != 0, path,
        ": data.scale must be finite and not 0, got ", options.data.scale);
  check(std::isfinite(options.data.shift), path, ": data.shift must be finite, got ",
        options.data.shift);
  const int64_t every = options.data.holdout_every;
  check(every == 0 || every >= 2, path,
        ": data.holdout_every wants 0 for no holdout, or at least 2, got ", every);
  return options;
}

std::vector<std::string> data_places(const std::string& x, const std::string& labels) {
  std::vector<std::string> changes;
  if (!x.empty()) changes.push_back(cat("data.x=", json_string(x)));
  if (!labels.empty()) changes.push_back(cat("data.labels=", json_string(labels)));
  return changes;
}

RunOptions options_of_run(const std::string& run, const std::vector<std::string>& changes) {
  return read_run_options(io::join_path(run, "options.json"), changes, {},
                          nn::Construction::Mode::shapes_only);
}

RunData open_data(const DataOptions& o) {
  const std::shared_ptr<const nn::Dataset> all = read_data(o);
  if (o.holdout_every == 0) return {.train = all, .holdout = nullptr};
  check(o.holdout_every <= all->size(), "data.holdout_every is ", o.holdout_every,
        ", but data.x has only ", all->size(), " samples");
  return {.train = std::make_shared<nn::Split>(all, o.holdout_every, nn::Split::Part::others),
          .holdout = std::make_shared<nn::Split>(all, o.holdout_every, nn::Split::Part::every)};
}

Generator generator_of(int64_t seed, Stream stream) {
  return Generator(static_cast<uint64_t>(seed)).for_sample(static_cast<uint64_t>(stream));
}

}  // namespace brume::tools
