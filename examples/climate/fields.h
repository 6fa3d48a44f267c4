#pragma once
// Annual mean air temperature over North America, coarse and fine.

#include <string>

#include <brume/core/tensor.h>

namespace brume::climate {

/// Fine fields beside what is left of them on a grid six times coarser, interpolated back.
/// @shape  both [years, 1, 36, 48], kelvin, rows from north to south
struct Fields {
  Tensor fine, coarse;
};

/// Model years [first, first + count * step), every `step`-th. @shape file [240, 37, 49]
Fields read_fields(const std::string& path, int64_t first, int64_t count, int64_t step);

/// What a network sees and learns. The detail is what interpolation misses; it has a mean over the
/// training years at each place, around which it varies with a standard deviation of `detail_unit`.
class Scales {
 public:
  explicit Scales(const Fields& training);
  /// The coarse field around its mean, and where the mean detail is. @shape result [years, 2, H, W]
  Tensor inputs(const Fields& f) const;
  /// The detail around its mean, over its unit. @shape [years, 1, H, W]
  Tensor targets(const Fields& f) const;
  /// Temperatures of a target. @shape target [..., H, W] beside coarse [..., H, W]
  Tensor temperature(const Tensor& target, const Tensor& coarse) const;

 private:
  Tensor coarse_mean_, detail_mean_;  // [1, 1, H, W]
  double coarse_unit_, detail_unit_;
};

}  // namespace brume::climate
