#include "task.h"

#include <numeric>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/nn/models/fully_connected.h>

#include "sample.h"

namespace brume::tools {
namespace {

// The noise's data scale weighs the loss, the preconditioner's scales the network; the method wants
// them equal.
void check_same_data_scale(const nn::Module& model, const nn::OneOrMany<double>& noise) {
  const auto* edm = dynamic_cast<const diffusion::EDMPreconditioner*>(&model);
  if (edm == nullptr) return;
  const auto inside = edm->sigma_data().to_vector<float>();
  const std::vector<double> wanted = noise.expand(inside.size(), "train: noise.sigma_data");
  for (size_t i = 0; i < inside.size(); ++i)
    check<Error>(inside[i] == static_cast<float>(wanted[i]), "train: noise.sigma_data is ",
                 wanted[i], ", but the model's is ", inside[i], "; set both, or neither");
}

class DiffusionTask : public TrainingTask {
 public:
  DiffusionTask(const RunOptions& o, const RunData& data)
      : model_(o.model),
        classes_(data.train->classes()),
        scheduler_(o.noise),
        loss_(diffusion::AnyModel(o.model), scheduler_) {
    check_same_data_scale(*model_, o.noise.sigma_data);
    const int64_t first[] = {0};
    const Shape shape = data.train->gather(first).x.shape();
    notes_.shape.assign(shape.begin() + 1, shape.end());
    notes_.classes = classes_;
    notes_.noise = o.noise;
    notes_.colours = o.data.colours;
  }
  Tensor loss(const nn::Batch& batch, Generator& rng) override {
    const Tensor x = batch.x.rank() == 4 ? contiguous(batch.x, Layout::channels_last) : batch.x;
    return loss_(x, rng, classes_ > 0 ? one_hot(batch.label, classes_) : Tensor{});
  }
  io::Metadata notes() const override { return {{kSamplingKey, nn::config_to_json(notes_)}}; }
  void write_samples(const std::string& path) const override {
    std::vector<uint64_t> seeds(16);
    std::iota(seeds.begin(), seeds.end(), 0);
    std::vector<int64_t> classes;
    if (classes_ > 0)
      for (uint64_t seed : seeds) classes.push_back(static_cast<int64_t>(seed) % classes_);
    write_picture(path, draw({.model = model_, .notes = notes_}, seeds, classes, {}),
                  notes_.colours);
  }

 private:
  nn::Ref<nn::Module> model_;
  int64_t classes_;
  diffusion::EDMNoiseScheduler scheduler_;
  diffusion::MSEDSMLoss loss_;
  SamplingNotes notes_;
};

const nn::FullyConnected& as_classifier(const nn::Module& module) {
  const auto* net = dynamic_cast<const nn::FullyConnected*>(&module);
  check<Error>(net != nullptr, "classification wants a FullyConnected model, got ",
               module.class_name());
  return *net;
}

Tensor logits(const nn::FullyConnected& net, const Tensor& x) {
  return net(reshape(x, {x.size(0), -1}));
}

class ClassificationTask : public TrainingTask {
 public:
  ClassificationTask(const RunOptions& o, const RunData& data)
      : model_(o.model), net_(as_classifier(*model_)), holdout_(data.holdout) {
    check(data.train->classes() > 0, "classification wants labels: set data.labels");
  }
  Tensor loss(const nn::Batch& batch, Generator&) override {
    return cross_entropy(logits(net_, batch.x), batch.label);
  }
  std::string verdict() override {
    if (!holdout_) return {};
    const nn::Batch all = nn::all_of(*holdout_);
    return cat("accuracy on ", all.x.size(0), " samples that were only looked at: ",
               accuracy(net_, all.x, all.label.to_vector<int64_t>()));
  }

 private:
  nn::Ref<nn::Module> model_;
  const nn::FullyConnected& net_;
  std::shared_ptr<const nn::Dataset> holdout_;
};

}  // namespace

std::unique_ptr<TrainingTask> make_task(const RunOptions& options, const RunData& data) {
  if (options.task == Task::classification)
    return std::make_unique<ClassificationTask>(options, data);
  return std::make_unique<DiffusionTask>(options, data);
}

double accuracy(const nn::Module& classifier, const Tensor& x, const std::vector<int64_t>& labels) {
  const NoGrad no_grad;
  const auto guessed = argmax(logits(as_classifier(classifier), x), -1).to_vector<int64_t>();
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += guessed[i] == labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace brume::tools
