#pragma once
// What differs between kinds of run: the loss of a batch, and what is looked at when it ends.

#include <memory>
#include <string>

#include <brume/core/io/safetensors.h>
#include <brume/nn/data/dataset.h>

#include "data_summary.h"
#include "run_options.h"

namespace brume::tools {

class TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  /// One line about data that the model is hardly made for, and what to set; empty if there is
  /// none.
  virtual std::string doubt(const DataSummary& /*data*/, const DataOptions& /*options*/) const {
    return {};
  }
  virtual Tensor loss(const nn::Batch& batch, Generator& rng) = 0;
  /// One line about the finished model, such as its accuracy; may be empty.
  virtual std::string verdict() { return {}; }
  /// What sampling from the model's file alone needs to know, for the file's metadata.
  virtual io::Metadata notes() const { return {}; }
  /// A picture of what the model, in evaluation mode, makes now; nothing if it makes none.
  virtual void write_samples(const std::string& /*path*/) const {}
};

/// What is said of samples [H, W] that a model does not take; "" of others.
std::string hint_for(const std::vector<int64_t>& sample);
/// What is said where the model's channels are not those of the samples [C, ...]; else "".
std::string channel_hint(const nn::Module& model, const std::vector<int64_t>& sample);

/// @throws Error if the model does not fit the task or the data
std::unique_ptr<TrainingTask> make_task(const RunOptions& options, const RunData& data);

/// Where a model's file keeps its sampling notes.
inline constexpr const char* kSamplingKey = "brume.sampling";

/// Shape, noise and look of the samples a model makes.
struct SamplingNotes {
  std::vector<int64_t> shape;  // without the batch
  int64_t classes = 0;
  diffusion::EDMNoiseSchedulerConfig noise;
  io::Colours colours = io::Colours::plain;
  template <class V>
  void fields(V& v) {
    v("shape", shape);
    v("classes", classes);
    v("noise", noise);
    v("colours", colours);
  }
};

bool is_classifier(const nn::Module& module);
/// Share of samples whose label is the classifier's first choice. @shape x [N, ...]
double accuracy(const nn::Module& classifier, const Tensor& x, const std::vector<int64_t>& labels);

}  // namespace brume::tools
