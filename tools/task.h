#pragma once
// What differs between kinds of run: the loss of a batch, and what is looked at when it ends.

#include <memory>
#include <string>

#include <brume/nn/data/dataset.h>

#include "run_options.h"

namespace brume::tools {

class TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  virtual Tensor loss(const nn::Batch& batch, Generator& rng) = 0;
  /// One line about the finished model, such as its accuracy; may be empty.
  virtual std::string verdict() { return {}; }
  /// What sampling from the model's file alone needs to know: JSON, or empty.
  virtual std::string sampling_notes() const { return {}; }
};

/// @throws Error if the model does not fit the task or the data
std::unique_ptr<TrainingTask> make_task(const RunOptions& options, const RunData& data);

/// Where a model's file keeps its sampling notes.
inline constexpr const char* kSamplingKey = "brume.sampling";

/// Shape and noise of the samples a model makes.
struct SamplingNotes {
  std::vector<int64_t> shape;  // without the batch
  int64_t classes = 0;
  diffusion::EDMNoiseSchedulerConfig noise;
  template <class V>
  void fields(V& v) {
    v("shape", shape);
    v("classes", classes);
    v("noise", noise);
  }
};

/// Share of samples whose label is the classifier's first choice. @shape x [N, ...]
double accuracy(const nn::Module& classifier, const Tensor& x, const std::vector<int64_t>& labels);

}  // namespace brume::tools
