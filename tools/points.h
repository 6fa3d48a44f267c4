#pragma once
// Samples as points: how far apart those of a class are, and how near to the training data.

#include <cstdint>
#include <vector>

#include <brume/core/tensor.h>

namespace brume::tools {

/// Samples as rows of numbers, each with its class (0 if there are none).
struct Points {
  std::vector<float> values;
  std::vector<int64_t> labels;
  size_t width = 0;

  size_t count() const { return labels.size(); }
  double distance(size_t i, const Points& other, size_t j) const;
};

/// @shape  x [N, ...], labels N
/// @throws Error naming `who` if a number is not finite
Points points_of(const Tensor& x, std::vector<int64_t> labels, const char* who);

/// Distances are taken from this many points at most, evenly chosen: their number grows as the
/// square of that.
inline constexpr size_t kMostCompared = 4096;

/// Mean distance between two members of a class. @throws Error if it has fewer than two
double spread(const Points& p, int64_t label);

/// Mean distance of a point to the nearest one of `train`. @throws Error if there are none of
/// either
double nearest(const Points& p, const Points& train);

}  // namespace brume::tools
