#include <brume/diffusion/noise_source.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/model.h>

namespace brume::diffusion {

NoiseSource::NoiseSource(std::span<const uint64_t> seeds) {
  for (uint64_t seed : seeds) own_.emplace_back(seed);
}

Tensor NoiseSource::normal(const Shape& shape, TensorOptions options) {
  return draw(shape, options,
              [&](const Shape& of, Generator& rng) { return brume::normal(of, rng, options); });
}

void NoiseSource::skip_normal_like(const Tensor& x) {
  const TensorOptions options{.dtype = x.dtype(), .device = x.device()};
  if (shared_) return skip_normal(x.shape(), *shared_, options);
  check_batch(x.shape());
  Shape single = x.shape();
  single[0] = 1;
  for (Generator& rng : own_) skip_normal(single, rng, options);
}

Tensor NoiseSource::student_t(const Shape& shape, double nu, TensorOptions options) {
  const Tensor n = normal(shape, options);
  return n * rsqrt(gamma(one_per_sample(shape), nu / 2, options) * (2 / nu));
}

Tensor NoiseSource::gamma(const Shape& shape, double concentration, TensorOptions options) {
  return draw(shape, options, [&](const Shape& of, Generator& rng) {
    return brume::gamma(of, concentration, rng, options);
  });
}

Tensor NoiseSource::integers(const Shape& shape, int64_t low, int64_t high) {
  return draw(shape, {.dtype = DType::i64},
              [&](const Shape& of, Generator& rng) { return random_integers(of, low, high, rng); });
}

void NoiseSource::check_batch(const Shape& shape) const {
  check(shape.rank() >= 1 && shape[0] == static_cast<int64_t>(own_.size()), "NoiseSource: has ",
        own_.size(), " seeds, asked for a batch of shape ", shape);
}

Tensor NoiseSource::draw(const Shape& shape, TensorOptions options, const Draw& one) {
  if (shared_) return one(shape, *shared_);
  check_batch(shape);
  Shape single = shape;
  single[0] = 1;
  std::vector<Tensor> samples;
  for (Generator& rng : own_) samples.push_back(one(single, rng));
  return samples.empty() ? empty(shape, options) : cat(samples, 0);
}

}  // namespace brume::diffusion
