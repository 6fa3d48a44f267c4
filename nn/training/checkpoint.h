#pragma once
// A training run in one safetensors file: weights, averages, optimizer, generator, data position.

#include <cstdint>
#include <string>

#include <brume/core/io/safetensors.h>
#include <brume/core/random.h>
#include <brume/nn/data/loader.h>
#include <brume/nn/model_file.h>
#include <brume/nn/module.h>
#include <brume/nn/optim/ema.h>
#include <brume/nn/optim/optimizer.h>

namespace brume::nn {

/// A mean that is still growing.
struct RunningMean {
  double sum = 0;
  int64_t count = 0;
  void add(double value) {
    sum += value;
    ++count;
  }
  double value() const { return count == 0 ? 0 : sum / static_cast<double>(count); }
};

/// The parts of a run that change as it goes on. All must outlive this.
struct TrainState {
  Module& model;
  Optimizer& optimizer;
  Ema& ema;
  Loader& loader;
  Generator& rng;
  int64_t step = 0;    // finished steps
  RunningMean loss{};  // since the last report
};

/// Writes the whole state, atomically, and `notes` into the metadata. Keys: model.<key>, ema.<key>,
/// optimizer.<key>.
/// @throws IoError, and then what stood there before still stands; Error if the generator is none
///         that (seed, offset) bring back (torch_cpu, or one that replays)
void save_checkpoint(const std::string& path, const TrainState& state, io::Metadata notes = {});

/// Brings every part to where the file was written: the run goes on as if it had not stopped.
/// @throws FormatError if the file is none, or belongs to another model (all differences listed) or
///         optimizer; Error if it lacks an average; then nothing has changed
void load_checkpoint(const std::string& path, TrainState& state);

/// The model alone, rebuilt from a checkpoint with its averaged weights, in evaluation mode.
/// @throws FormatError unless the file has the average of every parameter and of nothing else
Ref<Module> load_averaged(const std::string& path);
Ref<Module> load_averaged(const ModelFile& file);

/// Whether the file says that it is a training checkpoint.
bool is_checkpoint(const std::string& path);
bool is_checkpoint(const ModelFile& file);

}  // namespace brume::nn
