#pragma once
// A mixture of Gaussians, whose best prediction of x0 under any linear Gaussian noise is known.

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>

namespace brume::diffusion {

/// Equal shares of N(mean, scale^2) around means [K, D].
struct Mixture {
  Tensor means;
  double scale;

  /// E[x0 | x_t = x]. @shape x and the result [B, D]
  Predictor x0(const LinearGaussianNoiseScheduler& s) const {
    return [&s, m = means, v = scale * scale](const Tensor& x, const Tensor& t) {
      const Tensor tb = reshape(t, {-1, 1, 1}), a = s.alpha(tb);
      const Tensor noisy = square(a) * v + square(s.sigma(tb));  // variance around a component
      const Tensor centres = convert(unsqueeze(m, 0), x.dtype());
      const Tensor apart = unsqueeze(x, 1) - a * centres;                          // [B, K, D]
      const Tensor log_share = sum(square(apart) / (noisy * -2.0), 2, keep_axis);  // [B, K, 1]
      const Tensor share = exp(log_share - logsumexp(log_share, 1, keep_axis));
      return sum(share * (centres + a * v / noisy * apart), 1);
    };
  }
  /// @shape result [n, D]
  Tensor draw(int64_t n, Generator& rng) const {
    const Tensor which = random_integers({n}, 0, means.size(0), rng);
    return convert(index_select(means, 0, which), DType::f32) +
           normal({n, means.size(1)}, rng) * scale;
  }
};

}  // namespace brume::diffusion
