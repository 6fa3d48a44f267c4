#include "points.h"

#include <algorithm>
#include <cmath>

#include <brume/core/error.h>

namespace brume::tools {

double Points::distance(size_t i, const Points& other, size_t j) const {
  double sum = 0;
  for (size_t k = 0; k < width; ++k) {
    const double d = static_cast<double>(values[i * width + k]) - other.values[j * width + k];
    sum += d * d;
  }
  return std::sqrt(sum);
}

Points points_of(const Tensor& x, std::vector<int64_t> labels, const char* who) {
  Points p{.values = x.to_vector<float>(),
           .labels = std::move(labels),
           .width = static_cast<size_t>(x.numel() / std::max<int64_t>(x.size(0), 1))};
  const auto bad = std::count_if(p.values.begin(), p.values.end(),
                                 [](float value) { return !std::isfinite(value); });
  check<Error>(bad == 0, who, ": ", bad, " of ", p.values.size(), " numbers are not finite");
  return p;
}

double spread(const Points& p, int64_t label) {
  double sum = 0;
  int64_t pairs = 0;
  for (size_t i = 0; i < p.count(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (p.labels[i] == label && p.labels[j] == label) {
        sum += p.distance(i, p, j);
        ++pairs;
      }
  check<Error>(pairs > 0, "spread: wants at least two samples of class ", label);
  return sum / static_cast<double>(pairs);
}

double nearest(const Points& p, const Points& train) {
  check<Error>(p.count() > 0 && train.count() > 0, "nearest: got ", p.count(), " samples and ",
               train.count(), " to compare them with");
  double sum = 0;
  for (size_t i = 0; i < p.count(); ++i) {
    double least = p.distance(i, train, 0);
    for (size_t j = 1; j < train.count(); ++j) least = std::min(least, p.distance(i, train, j));
    sum += least;
  }
  return sum / static_cast<double>(p.count());
}

}  // namespace brume::tools
