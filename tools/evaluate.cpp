#include "evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>

#include <nlohmann/json.hpp>

#include <brume/core/json.h>
#include <brume/nn/serialize.h>

namespace brume::tools {
namespace {

// Samples as rows of numbers, with their class (0 if there are none).
struct Points {
  std::vector<float> values;
  std::vector<int64_t> labels;
  size_t width = 0;

  size_t count() const { return labels.size(); }
  double distance(size_t i, const Points& other, size_t j) const {
    double sum = 0;
    for (size_t k = 0; k < width; ++k) {
      const double d = static_cast<double>(values[i * width + k]) - other.values[j * width + k];
      sum += d * d;
    }
    return std::sqrt(sum);
  }
};

Points points_of(const Tensor& x, std::vector<int64_t> labels) {
  return {.values = x.to_vector<float>(),
          .labels = std::move(labels),
          .width = static_cast<size_t>(x.numel() / std::max<int64_t>(x.size(0), 1))};
}

Points points_of(const nn::Dataset& data) {
  const nn::Batch all = nn::all_of(data);
  if (data.classes() == 0)
    return points_of(all.x, std::vector<int64_t>(static_cast<size_t>(data.size())));
  return points_of(all.x, all.label.to_vector<int64_t>());
}

/// Mean distance between two members of a class.
double spread(const Points& p, int64_t label) {
  double sum = 0;
  int64_t pairs = 0;
  for (size_t i = 0; i < p.count(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (p.labels[i] == label && p.labels[j] == label) {
        sum += p.distance(i, p, j);
        ++pairs;
      }
  return pairs == 0 ? std::nan("") : sum / static_cast<double>(pairs);
}

/// Mean distance to the nearest training sample.
double nearest(const Points& p, const Points& train) {
  double sum = 0;
  for (size_t i = 0; i < p.count(); ++i) {
    double least = HUGE_VAL;
    for (size_t j = 0; j < train.count(); ++j) least = std::min(least, p.distance(i, train, j));
    sum += least;
  }
  return sum / static_cast<double>(p.count());
}

struct Verdict {
  std::optional<double> classifier_accuracy{}, named_as_asked{};  // with a classifier
  double least_spread = HUGE_VAL, mean_spread = 0, novelty = 0;
};

void print(const Verdict& v, int64_t classes, size_t held, int64_t num) {
  if (v.classifier_accuracy)
    std::printf(
        "classifier right on samples only looked at   %6.2f %%  (%zu samples)\n"
        "samples named as asked                       %6.2f %%  (%lld samples)\n",
        100 * *v.classifier_accuracy, held, 100 * *v.named_as_asked, static_cast<long long>(num));
  if (classes > 0)
    std::printf(
        "distance between two samples of a class      %6.3f times the data's (worst class; mean "
        "%.3f)\n",
        v.least_spread, v.mean_spread);
  else
    std::printf("distance between two samples                 %6.3f times the data's\n",
                v.mean_spread);
  std::printf(
      "distance to the nearest training sample      %6.3f times that of real ones only looked at\n",
      v.novelty);
}

void print_json(const Verdict& v) {
  Json out = Json::object();
  if (v.classifier_accuracy) {
    out["classifier_accuracy"] = *v.classifier_accuracy;
    out["named_as_asked"] = *v.named_as_asked;
  }
  out["spread_within_class_least"] = v.least_spread;
  out["spread_within_class_mean"] = v.mean_spread;
  out["distance_to_training_data"] = v.novelty;
  std::printf("%s\n", dump_json(out).c_str());
}

}  // namespace

int evaluate(const EvaluateArguments& a) {
  const RunOptions options = read_run_options(io::join_path(a.run, "options.json"), {}, {});
  const RunData data = open_data(options.data);
  check<Error>(data.holdout != nullptr,
               "evaluate: wants a run with a holdout (data.holdout_every)");
  const int64_t classes = data.train->classes();
  check<Error>(classes > 0 || a.classifier.empty(),
               "evaluate: the run has no labels that a classifier could name; leave it out");
  const Sampler sampler = open_sampler(a.run);
  const Points train = points_of(*data.train), held = points_of(*data.holdout);

  std::vector<int64_t> listed(static_cast<size_t>(std::max<int64_t>(classes, 1)));
  std::iota(listed.begin(), listed.end(), 0);
  const std::vector<int64_t> asked = spread_classes(listed, a.num);
  std::vector<uint64_t> seeds(static_cast<size_t>(a.num));
  std::iota(seeds.begin(), seeds.end(), static_cast<uint64_t>(a.first_seed));
  const Tensor x = draw(sampler, seeds, classes > 0 ? asked : std::vector<int64_t>{}, a.draw);
  const Points drawn = points_of(x, asked);

  Verdict verdict;
  if (!a.classifier.empty()) {
    const nn::Ref<nn::Module> classifier =
        nn::load(io::join_path(a.classifier, "model.safetensors"));
    classifier->eval();
    verdict.classifier_accuracy = accuracy(*classifier, nn::all_of(*data.holdout).x, held.labels);
    verdict.named_as_asked = accuracy(*classifier, x, asked);
  }
  for (int64_t c : listed) {
    const double ratio = spread(drawn, c) / spread(train, c);
    verdict.least_spread = std::min(verdict.least_spread, ratio);
    verdict.mean_spread += ratio / static_cast<double>(listed.size());
  }
  verdict.novelty = nearest(drawn, train) / nearest(held, train);
  if (a.json)
    print_json(verdict);
  else
    print(verdict, classes, held.count(), a.num);
  return 0;
}

}  // namespace brume::tools
