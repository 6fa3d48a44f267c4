#pragma once
// A mixture of Gaussians, whose best prediction of x0 under any linear Gaussian noise is known, and
// what is measured on it.

#include <cmath>
#include <vector>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/metrics.h>
#include <brume/diffusion/sample.h>
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

/// Two components on the plane: mean (0, 0.25), covariance [[1.16, -0.25], [-0.25, 0.2225]].
inline Mixture two_hills() {
  return {from_vector(std::vector<double>{-1, 0.5, 1, 0}, {2, 2}), 0.4};
}

/// Times that are even in their logarithm. @shape result [steps + 1]
inline Tensor geometric_times(double from, double to, int64_t steps, TensorOptions options = {}) {
  const double ratio = std::log(to / from) / static_cast<double>(steps);
  return exp(arange(0, steps + 1, ratio, options) + std::log(from));
}

/// Where a solver carries six points from one time to another, in f64.
inline Tensor carried(const LinearGaussianNoiseScheduler& s, DenoisingType type,
                      const Solver& solver, double from, double to, int64_t steps) {
  const TensorOptions f64{.dtype = DType::f64};
  Generator rng(11);
  NoiseSource noise(rng);
  const Tensor x = s.init_latents({6, 2}, full({6}, from, f64), noise, f64);
  return sample(denoiser(s, {.x0 = two_hills().x0(s), .type = type}), x, s,
                {.solver = solver, .time_steps = geometric_times(from, to, steps, f64)});
}

/// The largest distance between two samples' distribution functions (Kolmogorov-Smirnov).
/// @shape a, b [n]
inline double largest_distance(const Tensor& a, const Tensor& b) {
  const Tensor sorted_a = sort(a, 0).first, sorted_b = sort(b, 0).first;
  const Tensor rank = (arange(0, a.numel()) + 1.0) / static_cast<double>(a.numel());
  const Tensor other =
      convert(searchsorted(sorted_b, sorted_a, true), DType::f32) / static_cast<double>(b.numel());
  return max(abs(rank - other)).item();
}

/// What two samples of one distribution exceed once in 10^4 times. @shape samples of n each
inline double largest_distance_limit(int64_t n) {
  return 2.23 * std::sqrt(2.0 / static_cast<double>(n));
}

/// Mean and covariance of points on the plane: x, y, xx, xy, yy. @shape points [n, 2]
inline std::vector<double> moments(const Tensor& points) {
  const Tensor centre = mean(points, 0, keep_axis), apart = points - centre;
  const Tensor x = select(apart, 1, 0), y = select(apart, 1, 1);
  return {select(centre, 1, 0).item(), select(centre, 1, 1).item(), mean(square(x)).item(),
          mean(x * y).item(), mean(square(y)).item()};
}
/// Those of two_hills().
inline std::vector<double> moments_of_two_hills() { return {0, 0.25, 1.16, -0.25, 0.2225}; }

/// What samples of `n` points drawn directly from two_hills() do not exceed: four standard
/// deviations of their moments, and of the sliced Wasserstein distance between two of them.
struct NullLimits {
  std::vector<double> moments;  // how far from the exact ones
  double wasserstein;
};
inline double distance(const Tensor& a, const Tensor& b) {
  Generator directions(3);
  return sliced_wasserstein(a, b, directions, 16);
}
inline NullLimits null_limits(int64_t n, Generator& rng) {
  constexpr int kDraws = 20;
  const std::vector<double> exact = moments_of_two_hills();
  std::vector<double> variance(exact.size());
  double sum = 0, squares = 0;
  for (int k = 0; k < kDraws; ++k) {
    const Tensor a = two_hills().draw(n, rng);
    const std::vector<double> found = moments(a);
    for (size_t i = 0; i < exact.size(); ++i)
      variance[i] += std::pow(found[i] - exact[i], 2) / kDraws;
    const double d = distance(a, two_hills().draw(n, rng));
    sum += d;
    squares += d * d;
  }
  const double middle = sum / kDraws;
  NullLimits limits{.moments = {},
                    .wasserstein = middle + 4 * std::sqrt(squares / kDraws - middle * middle)};
  for (const double v : variance) limits.moments.push_back(4 * std::sqrt(v));
  return limits;
}

}  // namespace brume::diffusion
