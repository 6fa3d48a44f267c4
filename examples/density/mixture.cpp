#include "examples/density/mixture.h"

#include <cmath>
#include <numbers>
#include <vector>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::density {

SpiralArms::SpiralArms(int64_t parts_per_arm, double scale) : parts_(parts_per_arm), scale_(scale) {
  std::vector<float> means;
  for (int arm = 0; arm < 2; ++arm)
    for (int64_t i = 0; i < parts_; ++i) {
      const double along = (static_cast<double>(i) + 1) / static_cast<double>(parts_);
      const double angle = std::numbers::pi * (arm + 2.5 * along);
      means.push_back(static_cast<float>(1.5 * along * std::cos(angle)));
      means.push_back(static_cast<float>(1.5 * along * std::sin(angle)));
    }
  means_ = from_vector(means, {2, parts_, 2});
}

Tensor SpiralArms::draw(const Tensor& arm, Generator& rng) const {
  const int64_t n = arm.size(0);
  const Tensor part = arm * static_cast<double>(parts_) + random_integers({n}, 0, parts_, rng);
  return index_select(reshape(means_, {-1, 2}), 0, part) + normal({n, 2}, rng) * scale_;
}

Tensor SpiralArms::score(const Tensor& x, const Tensor& sigma, const Tensor& arm) const {
  const Tensor variance = reshape(square(sigma) + scale_ * scale_, {-1, 1, 1});
  const Tensor towards = index_select(means_, 0, arm) - unsqueeze(x, 1);          // [B, K, 2]
  const Tensor log_share = sum(square(towards), 2, keep_axis) / variance * -0.5;  // [B, K, 1]
  const Tensor share = exp(log_share - logsumexp(log_share, 1, keep_axis));
  return sum(share * towards / variance, 1);
}

double SpiralArms::standard_deviation() const {
  return std::sqrt(mean(square(means_)).item() - std::pow(mean(means_).item(), 2) +
                   scale_ * scale_);
}

}  // namespace brume::density
