#pragma once

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::density {

/// A density on the plane whose score is known: two spiral arms (class 0 and 1), each of equal
/// parts N(mean, scale^2). Under noise it is again such a mixture, of variance scale^2 + sigma^2.
class SpiralArms {
 public:
  explicit SpiralArms(int64_t parts_per_arm = 12, double scale = 0.08);

  /// @shape  arm i64 [B] -> f32 [B, 2]
  Tensor draw(const Tensor& arm, Generator& rng) const;
  /// grad log p(x | arm) of the density with noise of deviation sigma added.
  /// @shape  x [B, 2], sigma [B], arm i64 [B] -> as x
  Tensor score(const Tensor& x, const Tensor& sigma, const Tensor& arm) const;

  /// Of one coordinate, over both arms.
  double standard_deviation() const;

 private:
  int64_t parts_;
  double scale_;
  Tensor means_;  // [2, parts, 2]
};

}  // namespace brume::density
