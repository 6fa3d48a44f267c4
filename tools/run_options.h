#pragma once
// What a run is made of: one JSON file holds every option.

#include <optional>
#include <string>
#include <vector>

#include <brume/core/io/png.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/nn/data/dataset.h>
#include <brume/nn/init.h>
#include <brume/nn/optim/optimizer.h>

namespace brume::io {
nn::Names names_of(Colours);  // among the options
}

namespace brume::tools {

struct DataOptions {
  std::string x, labels;        // .npy, or x a folder of PNG; relative to the working directory
  double scale = 1, shift = 0;  // applied to x
  int64_t holdout_every = 0;    // every n-th sample is only looked at; 0: none
  io::Colours colours = io::Colours::plain;  // of pictures of samples
  template <class V>
  void fields(V& v) {
    v("x", x, nn::required);
    v("labels", labels);
    v("scale", scale);
    v("shift", shift);
    v("holdout_every", holdout_every);
    v("colours", colours);
  }
};

enum class OptimizerName { adam, adamw, sgd };
nn::Names names_of(OptimizerName);

struct OptimizerOptions {
  OptimizerName name = OptimizerName::adam;
  double lr = 1e-3;
  int64_t warmup_steps = 0;  // linear from 0
  double weight_decay = 0, clip_norm = 0;
  template <class V>
  void fields(V& v) {
    v("name", name);
    v("lr", lr);
    v("warmup_steps", warmup_steps);
    v("weight_decay", weight_decay);
    v("clip_norm", clip_norm);
  }
};

enum class Task { diffusion, classification };
nn::Names names_of(Task);

struct RunOptions {
  Task task = Task::diffusion;
  DataOptions data;
  nn::Ref<nn::Module> model;  // {"module": class, "args": {...}}
  diffusion::EDMNoiseSchedulerConfig noise;
  OptimizerOptions optimizer;
  double ema_decay = 0.995;
  int64_t batch_size = 64, steps = 1000, seed = 0;
  int64_t report_steps = 50, checkpoint_steps = 500, keep_checkpoints = 2;
  int64_t sample_steps = 0;  // steps from one picture of samples to the next; 0: none
  template <class V>
  void fields(V& v) {
    v("task", task);
    v("data", data, nn::required);
    v("model", model, nn::required);
    v("noise", noise);
    v("optimizer", optimizer);
    v("ema_decay", ema_decay);
    v("batch_size", batch_size);
    v("steps", steps);
    v("seed", seed);
    v("report_steps", report_steps);
    v("checkpoint_steps", checkpoint_steps);
    v("keep_checkpoints", keep_checkpoints);
    v("sample_steps", sample_steps);
  }
};

/// Reads a configuration and changes it: "key.key=value" sets one option, the seed draws the
/// model's first weights (unless `mode` leaves them out). @throws FormatError, IoError
RunOptions read_run_options(const std::string& path, const std::vector<std::string>& changes,
                            std::optional<int64_t> seed,
                            nn::Construction::Mode mode = nn::Construction::Mode::initialise);

/// The changes that say where the data lie; an empty path changes nothing.
std::vector<std::string> data_places(const std::string& x, const std::string& labels);

/// The options that a run folder was trained with; the model has no memory.
RunOptions options_of_run(const std::string& run, const std::vector<std::string>& changes = {});

/// The data of a run, in its two parts; without a holdout the second is null.
struct RunData {
  std::shared_ptr<const nn::Dataset> train, holdout;
};
/// @throws IoError, FormatError; ShapeError if they cannot be trained on
RunData open_data(const DataOptions& options);

/// Streams of random numbers of a run, apart from each other.
enum class Stream : uint64_t { weights, training, data };
Generator generator_of(int64_t seed, Stream stream);

}  // namespace brume::tools
