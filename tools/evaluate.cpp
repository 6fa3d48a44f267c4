#include "evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>

#include <nlohmann/json.hpp>

#include <brume/core/io/fs.h>
#include <brume/core/json.h>

#include "data_summary.h"
#include "points.h"
#include "run_folder.h"

namespace brume::tools {
namespace {

Points all_points(const nn::Dataset& data) {
  const nn::Batch all = nn::all_of(data);
  constexpr const char* who = "evaluate: the data";
  if (data.classes() == 0)
    return points_of(all.x, std::vector<int64_t>(static_cast<size_t>(data.size())), who);
  return points_of(all.x, all.label.to_vector<int64_t>(), who);
}

/// A distance of the samples, the data's own being 1.
double times_the_data(double drawn, double data) {
  check<Error>(data > 0, "evaluate: the data repeat themselves, so their distance is no measure");
  return drawn / data;
}

// What a good run has. Distances are over the data's own, so that real data have 1: samples that
// repeat each other or the training data have less, noise has more in both.
struct Range {
  double least = 0, most = HUGE_VAL;
};
constexpr Range kRight{.least = 0.97}, kNamed{.least = 0.95}, kSpread{.least = 0.8, .most = 1.25},
    kNearest{.least = 0.8, .most = 1.5};

struct Verdict {
  std::optional<double> classifier_accuracy{}, named_as_asked{};  // with a classifier
  double least_spread = HUGE_VAL, mean_spread = 0, greatest_spread = 0, novelty = 0;
};

void print(const Verdict& v, int64_t classes, size_t held, int64_t num) {
  if (v.classifier_accuracy)
    std::printf(
        "classifier right on samples only looked at   %6.2f %%  of %zu samples (wanted: at least "
        "%g %%)\n"
        "samples named as asked                       %6.2f %%  of %lld samples (wanted: at least "
        "%g %%)\n",
        100 * *v.classifier_accuracy, held, 100 * kRight.least, 100 * *v.named_as_asked,
        static_cast<long long>(num), 100 * kNamed.least);
  if (classes > 0)
    std::printf(
        "distance between two samples of a class      %6.3f times the data's in the mean, %.3f to "
        "%.3f in a class (wanted: %g to %g)\n",
        v.mean_spread, v.least_spread, v.greatest_spread, kSpread.least, kSpread.most);
  else
    std::printf(
        "distance between two samples                 %6.3f times the data's (wanted: %g to %g)\n",
        v.mean_spread, kSpread.least, kSpread.most);
  std::printf(
      "distance to the nearest training sample      %6.3f times that of real ones only looked at "
      "(wanted: %g to %g)\n",
      v.novelty, kNearest.least, kNearest.most);
  if (!v.classifier_accuracy)
    std::printf("distances do not tell what samples look like; %s\n",
                classes > 0 ? "--classifier judges that" : "look at some: brume sample");
}

void print_json(const Verdict& v) {
  Json out = Json::object();
  if (v.classifier_accuracy) {
    out["classifier_accuracy"] = *v.classifier_accuracy;
    out["named_as_asked"] = *v.named_as_asked;
  }
  out["spread_within_class_least"] = v.least_spread;
  out["spread_within_class_mean"] = v.mean_spread;
  out["spread_within_class_greatest"] = v.greatest_spread;
  out["distance_to_training_data"] = v.novelty;
  std::printf("%s\n", dump_json(out).c_str());
}

// "named_as_asked is 0.93, wanted at least 0.95" of each figure outside its range; its names are
// those of --json.
std::string shortfalls(const Verdict& v) {
  std::string out;
  const auto want = [&](const char* name, double value, const Range& range) {
    const char* const between = out.empty() ? "" : ", ";
    if (!(value >= range.least))
      out += cat(between, name, " is ", value, ", wanted at least ", range.least);
    else if (value > range.most)
      out += cat(between, name, " is ", value, ", wanted at most ", range.most);
  };
  if (v.classifier_accuracy) {
    want("classifier_accuracy", *v.classifier_accuracy, kRight);
    want("named_as_asked", *v.named_as_asked, kNamed);
  }
  want("spread_within_class_least", v.least_spread, {.least = kSpread.least});
  want("spread_within_class_greatest", v.greatest_spread, {.most = kSpread.most});
  want("distance_to_training_data", v.novelty, kNearest);
  return out;
}

// Trained on `data`: one that knows the samples by heart would be right on those "only looked at".
nn::Ref<nn::Module> open_classifier(const std::string& path, const DataIdentity& data) {
  const nn::ModelFile file = nn::open_model_file(model_of(path));
  if (file.notes.contains(kDataKey))
    check_same_data(file, data, "evaluate: --classifier",
                    "train the classifier with the run's data options");
  else
    std::fprintf(stderr,
                 "brume: evaluate: '%s' does not say on which data it was trained; its figures "
                 "hold only if it never saw those that the run only looked at\n",
                 file.path.c_str());
  nn::Ref<nn::Module> model = load_model(file);
  check<Error>(is_classifier(*model), "--classifier: '", path, "' holds a ", model->class_name(),
               ", which names no samples; wants a run of the task classification, such as "
               "examples/digits/classifier.json");
  return model;
}

}  // namespace

int evaluate(const EvaluateArguments& a) {
  check_solver(a.draw);
  check<IoError>(io::file_status(a.run).kind != io::FileKind::missing, "evaluate: there is no '",
                 a.run, "'");
  const RunOptions options = options_of_run(run_of(a.run), data_places(a.data, a.labels));
  const RunData data = open_data(options.data);
  check<Error>(data.holdout != nullptr,
               "evaluate: wants a run that left samples out to look at; train one with --set "
               "data.holdout_every=5");
  const int64_t classes = data.train->classes();
  check<Error>(classes > 0 || a.classifier.empty(),
               "evaluate: the run has no labels that a classifier could name; leave it out");
  const int64_t groups = std::max<int64_t>(classes, 1);
  check<Error>(a.num >= 2 * groups, "evaluate: --num is ", a.num, ", wanted at least ", 2 * groups,
               ": the distance between two samples of a class takes two of each");
  const DataIdentity identity = summary_of(*data.train).identity;
  const nn::ModelFile model = nn::open_model_file(model_of(a.run));
  check_same_data(model, identity, "evaluate", "train it again");
  const nn::Ref<nn::Module> classifier =
      a.classifier.empty() ? nn::Ref<nn::Module>() : open_classifier(a.classifier, identity);
  const Sampler sampler = open_sampler(model, a.device);
  const Points train = all_points(*data.train), held = all_points(*data.holdout);

  std::vector<int64_t> listed(static_cast<size_t>(groups));
  std::iota(listed.begin(), listed.end(), 0);
  const std::vector<int64_t> asked = spread_classes(listed, a.num);
  std::vector<uint64_t> seeds(static_cast<size_t>(a.num));
  std::iota(seeds.begin(), seeds.end(), static_cast<uint64_t>(a.first_seed));
  const Tensor x = draw(sampler, seeds, classes > 0 ? asked : std::vector<int64_t>{}, a.draw);
  const Points drawn = points_of(x, asked, "evaluate: the samples");

  Verdict verdict;
  if (classifier) {
    verdict.classifier_accuracy = accuracy(*classifier, nn::all_of(*data.holdout).x, held.labels);
    verdict.named_as_asked = accuracy(*classifier, x, asked);
  }
  for (int64_t c : listed) {
    const double ratio = times_the_data(spread(drawn, c), spread(train, c));
    verdict.least_spread = std::min(verdict.least_spread, ratio);
    verdict.greatest_spread = std::max(verdict.greatest_spread, ratio);
    verdict.mean_spread += ratio / static_cast<double>(listed.size());
  }
  verdict.novelty = times_the_data(nearest(drawn, train), nearest(held, train));
  if (a.json)
    print_json(verdict);
  else
    print(verdict, classes, held.count(), a.num);
  const std::string missed = a.require ? shortfalls(verdict) : "";
  if (!missed.empty()) std::fprintf(stderr, "brume: evaluate: %s\n", missed.c_str());
  return missed.empty() ? 0 : 1;
}

}  // namespace brume::tools
