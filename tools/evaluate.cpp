#include "evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include <nlohmann/json.hpp>

#include <brume/core/json.h>
#include <brume/nn/serialize.h>

namespace brume::tools {
namespace {

// Samples as rows of numbers, with their class.
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
    double least = std::numeric_limits<double>::infinity();
    for (size_t j = 0; j < train.count(); ++j) least = std::min(least, p.distance(i, train, j));
    sum += least;
  }
  return sum / static_cast<double>(p.count());
}

}  // namespace

int evaluate(const EvaluateArguments& a) {
  const RunOptions options = read_run_options(io::join_path(a.run, "options.json"), {}, {});
  const RunData data = open_data(options.data);
  check<Error>(data.holdout != nullptr && data.train->classes() > 0,
               "evaluate: wants a run with labels and a holdout (data.holdout_every)");
  const Sampler sampler = open_sampler(a.run);
  const nn::Ref<nn::Module> classifier = nn::load(io::join_path(a.classifier, "model.safetensors"));
  classifier->eval();

  const Points train = points_of(*data.train), held = points_of(*data.holdout);
  const nn::Batch held_batch = nn::all_of(*data.holdout);
  const double held_accuracy = accuracy(*classifier, held_batch.x, held.labels);

  std::vector<int64_t> listed;
  for (int64_t c = 0; c < data.train->classes(); ++c) listed.push_back(c);
  const std::vector<int64_t> asked = spread_classes(listed, a.num);
  std::vector<uint64_t> seeds;
  for (int64_t i = 0; i < a.num; ++i) seeds.push_back(static_cast<uint64_t>(a.first_seed + i));
  const Tensor x = draw(sampler, seeds, asked, a.draw);
  const Points drawn = points_of(x, asked);

  const double named = accuracy(*classifier, x, asked);
  double least_spread = std::numeric_limits<double>::infinity(), mean_spread = 0;
  for (int64_t c : listed) {
    const double ratio = spread(drawn, c) / spread(train, c);
    least_spread = std::min(least_spread, ratio);
    mean_spread += ratio / static_cast<double>(listed.size());
  }
  const double novelty = nearest(drawn, train) / nearest(held, train);

  if (a.json) {
    std::printf("%s\n", dump_json(Json{{"classifier_accuracy", held_accuracy},
                                       {"named_as_asked", named},
                                       {"spread_within_class_least", least_spread},
                                       {"spread_within_class_mean", mean_spread},
                                       {"distance_to_training_data", novelty}})
                            .c_str());
    return 0;
  }
  std::printf("classifier right on samples only looked at   %6.2f %%  (%zu samples)\n",
              100 * held_accuracy, held.count());
  std::printf("samples named as asked                       %6.2f %%  (%lld samples)\n",
              100 * named, static_cast<long long>(a.num));
  std::printf(
      "distance between two samples of a class      %6.3f times the data's (worst class; mean "
      "%.3f)\n",
      least_spread, mean_spread);
  std::printf(
      "distance to the nearest training sample      %6.3f times that of real ones only looked at\n",
      novelty);
  return 0;
}

}  // namespace brume::tools
