#include "points.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <brume/core/cpu/parallel.h>
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

namespace {

// f(k) for k in [0, n), added in order.
template <class F>
double sum_of(size_t n, F f) {
  std::vector<double> terms(n);
  cpu::parallel_chunks(static_cast<int64_t>(n), [&](int64_t k) {
    terms[static_cast<size_t>(k)] = f(static_cast<size_t>(k));
  });
  return std::accumulate(terms.begin(), terms.end(), 0.0);
}

// At most kMostCompared of them, evenly chosen.
std::vector<size_t> some_of(const std::vector<size_t>& all) {
  const size_t count = std::min(all.size(), kMostCompared);
  std::vector<size_t> some(count);
  for (size_t k = 0; k < count; ++k) some[k] = all[k * all.size() / count];
  return some;
}

}  // namespace

double spread(const Points& p, int64_t label) {
  std::vector<size_t> members;
  for (size_t i = 0; i < p.count(); ++i)
    if (p.labels[i] == label) members.push_back(i);
  check<Error>(members.size() >= 2, "spread: wants at least two samples of class ", label);
  members = some_of(members);
  const double sum = sum_of(members.size(), [&](size_t k) {
    double to_earlier = 0;
    for (size_t j = 0; j < k; ++j) to_earlier += p.distance(members[k], p, members[j]);
    return to_earlier;
  });
  const auto count = static_cast<double>(members.size());
  return sum / (count * (count - 1) / 2);
}

double nearest(const Points& p, const Points& train) {
  check<Error>(p.count() > 0 && train.count() > 0, "nearest: got ", p.count(), " samples and ",
               train.count(), " to compare them with");
  std::vector<size_t> points(p.count());
  std::iota(points.begin(), points.end(), size_t{0});
  points = some_of(points);
  const double sum = sum_of(points.size(), [&](size_t k) {
    double least = p.distance(points[k], train, 0);
    for (size_t j = 1; j < train.count(); ++j)
      least = std::min(least, p.distance(points[k], train, j));
    return least;
  });
  return sum / static_cast<double>(points.size());
}

}  // namespace brume::tools
