#include "task.h"

#include <numeric>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/text.h>
#include <brume/diffusion/legacy/preconditioners.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/nn/models/fully_connected.h>

#include "device.h"
#include "sample.h"

namespace brume::tools {
namespace {

// The noise is EDM's: other preconditioners belong to methods with levels of their own, and a bare
// network would learn from inputs of every size.
const diffusion::EDMPreconditioner& checked_method(const nn::Module& model) {
  const bool preconditions =
      dynamic_cast<const diffusion::BaseAffinePreconditioner*>(&model) != nullptr ||
      dynamic_cast<const diffusion::NoiseLevels*>(&model) != nullptr;
  const auto* edm = dynamic_cast<const diffusion::EDMPreconditioner*>(&model);
  check<Error>(edm != nullptr,
               "train: draws EDM's noise and wants an EDMPreconditioner as the model, got a ",
               model.class_name(), "; ",
               preconditions ? "train that from a program with a scheduler of its method"
                             : "put it inside: its 'model' is the network");
  return *edm;
}

// The noise's data scale weighs the loss, the preconditioner's scales the network; the method wants
// them equal. @returns it: one, or one per channel
std::vector<float> checked_sigma_data(const nn::Module& model, const nn::OneOrMany<double>& noise) {
  const auto inside = checked_method(model).sigma_data().to_vector<float>();
  const std::vector<double> wanted = noise.expand(inside.size(), "train: noise.sigma_data");
  for (size_t i = 0; i < inside.size(); ++i)
    check<Error>(inside[i] == static_cast<float>(wanted[i]), "train: noise.sigma_data is ",
                 wanted[i], ", but the model's is ", inside[i], "; set both, or neither");
  return inside;
}

// Data of another size than the network's inputs are scaled for are learned slowly or not at all.
bool is_far(const Moments& data, double sigma_data) {
  constexpr double kFactor = 3;
  return data.deviation > kFactor * sigma_data || data.deviation * kFactor < sigma_data ||
         std::abs(data.mean) > kFactor * sigma_data;
}

std::string far_data(const Moments& data, double sigma_data) {
  return cat(" standard deviation ", short_number(data.deviation), " (mean ",
             short_number(data.mean), "), far from sigma_data ", short_number(sigma_data), ": ");
}

std::string doubt_about_scale(const DataSummary& data, const std::vector<float>& sigma_data,
                              const DataOptions& o) {
  if (sigma_data.size() > 1) {
    for (size_t c = 0; c < std::min(sigma_data.size(), data.channels.size()); ++c)
      if (is_far(data.channels[c], sigma_data[c]))
        return cat(
            "channel ", c, " of data.x has", far_data(data.channels[c], sigma_data[c]),
            "scale the channel in the file, or set its sigma_data of the model and of noise");
    return {};
  }
  const double wanted = sigma_data[0];
  if (!is_far(data.all, wanted)) return {};
  const std::string text = cat("data.x has", far_data(data.all, wanted));
  if (!(data.all.deviation > 0)) return text + "its numbers are all the same";
  const double factor = wanted / data.all.deviation;
  return cat(text, "set data.scale ", short_number(o.scale * factor), " and data.shift ",
             short_number((o.shift - data.all.mean) * factor),
             ", or sigma_data of the model and of noise to what is measured");
}

/// The whole numbers of one argument of a module, or of those that it wraps.
class ArgumentOf final : public nn::Fields {
 public:
  ArgumentOf(const nn::Module& module, std::string_view key) : key_(key) {
    module.visit_config(*this);
  }
  const std::vector<int64_t>& values() const { return values_; }

 private:
  bool begin_field(const char* key, bool) override {
    wanted_ = key_ == key;
    return true;
  }
  void scalar(int64_t& x) override {
    if (wanted_) values_.push_back(x);
  }
  void scalar(nn::Ref<nn::Module>& x) override {
    if (x) x->visit_config(*this);
  }

  std::string_view key_;
  bool wanted_ = false;
  std::vector<int64_t> values_;
};

// What a network would take without a word: images of another size than it was planned for, and
// labels where it has no use for any.
void check_fits(const nn::Module& model, const std::vector<int64_t>& sample, int64_t classes,
                const DataOptions& data) {
  const ArgumentOf size(model, "img_resolution"), labels(model, "label_dim");
  check(size.values().empty() || sample.size() > 2,
        "train: the model takes images [N, C, H, W], but the samples of data.x are ", Shape(sample),
        hint_for(sample));
  if (!size.values().empty() && sample.size() == 3) {
    const int64_t H = size.values().front(), W = size.values().back();
    const bool channels_last = sample[0] == H && sample[1] == W && sample[2] <= 4;
    check(sample[1] == H && sample[2] == W, "train: the model's img_resolution is ", H, " x ", W,
          ", but the samples of data.x, [C, H, W], are ", Shape(sample),
          channels_last ? "; move the channels to the front, in numpy np.moveaxis(x, -1, 1)" : "");
  }
  if (!labels.values().empty())
    check(labels.values().front() == classes, "train: the model's label_dim is ",
          labels.values().front(), ", but the data have ", classes, " classes; ",
          classes == 0 ? "set data.labels, or label_dim to 0"
                       : cat("set label_dim to ", classes,
                             labels.values().front() != 0 ? ""
                             : data.labels.empty()        ? ", or put all pictures into one folder"
                                                          : ", or leave data.labels out"));
}

class DiffusionTask : public TrainingTask {
 public:
  DiffusionTask(const RunOptions& o, const RunData& data)
      : model_(o.model),
        sigma_data_(checked_sigma_data(*model_, o.noise.sigma_data)),
        classes_(data.train->classes()),
        scheduler_(o.noise),
        loss_(diffusion::AnyModel(o.model), scheduler_) {
    const int64_t first[] = {0};
    const Shape shape = data.train->gather(first).x.shape();
    notes_.shape.assign(shape.begin() + 1, shape.end());
    check_fits(*model_, notes_.shape, classes_, o.data);
    notes_.classes = classes_;
    notes_.noise = o.noise;
    notes_.colours = o.data.colours;
    check(o.sample_steps == 0 || is_picture(notes_.shape),
          "sample_steps: wants samples that are pictures [C, H, W], but those of data.x are ",
          Shape(notes_.shape), "; set it to 0, and draw with brume sample --out samples.npy");
  }
  std::string doubt(const DataSummary& data, const DataOptions& o) const override {
    return doubt_about_scale(data, sigma_data_, o);
  }
  Tensor loss(const nn::Batch& batch, Generator& rng) override {
    const Tensor x = batch.x.rank() == 4 ? contiguous(batch.x, Layout::channels_last) : batch.x;
    return loss_(x, rng,
                 classes_ > 0 ? transfer(one_hot(batch.label, classes_), x.device()) : Tensor{});
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
  std::vector<float> sigma_data_;  // one, or one per channel
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
    check(o.sample_steps == 0 && nn::same_config(o.noise, {}),
          "classification draws no samples and no noise: leave sample_steps and noise out");
  }
  Tensor loss(const nn::Batch& batch, Generator&) override {
    return cross_entropy(logits(net_, batch.x), transfer(batch.label, batch.x.device()));
  }
  std::string verdict() override {
    if (!holdout_) return {};
    const nn::Batch all = nn::all_of(*holdout_);
    return cat("accuracy on ", all.x.size(0), " samples that were only looked at: ",
               short_number(accuracy(net_, all.x, all.label.to_vector<int64_t>())));
  }

 private:
  nn::Ref<nn::Module> model_;
  const nn::FullyConnected& net_;
  std::shared_ptr<const nn::Dataset> holdout_;
};

}  // namespace

std::string hint_for(const std::vector<int64_t>& sample) {
  return sample.size() == 2 ? "; images of one channel are [N, 1, H, W], in numpy x[:, None]" : "";
}

std::string channel_hint(const nn::Module& model, const std::vector<int64_t>& sample) {
  if (sample.size() < 2) return "";
  const ArgumentOf in(model, "in_channels"), out(model, "out_channels");
  if (in.values().empty() || out.values().empty()) return "";
  const int64_t C = sample[0];
  if (in.values().front() == C && out.values().front() == C) return "";
  return cat("; set in_channels and out_channels to ", C);
}

bool is_classifier(const nn::Module& module) {
  return dynamic_cast<const nn::FullyConnected*>(&module) != nullptr;
}

std::unique_ptr<TrainingTask> make_task(const RunOptions& options, const RunData& data) {
  if (options.task == Task::classification)
    return std::make_unique<ClassificationTask>(options, data);
  return std::make_unique<DiffusionTask>(options, data);
}

double accuracy(const nn::Module& classifier, const Tensor& x, const std::vector<int64_t>& labels) {
  const NoGrad no_grad;
  const auto guessed =
      argmax(logits(as_classifier(classifier), transfer(x, device_of(classifier))), -1)
          .to_vector<int64_t>();
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += guessed[i] == labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace brume::tools
