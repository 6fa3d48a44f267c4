#include <brume/diffusion/legacy/generate.h>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {

Tensor regression_step(const AnyModel& net, const Tensor& img_lr, const Shape& latents_shape,
                       const Condition& condition) {
  check(img_lr.rank() == 4 && img_lr.size(0) == 1,
        "regression_step: wants one image [1, C, H, W], got ", img_lr.shape());
  check(latents_shape.rank() == 4, "regression_step: wants a shape [B, C, H, W], got ",
        latents_shape);
  const NoGrad guard;
  const TensorOptions options{.dtype = img_lr.dtype(), .device = img_lr.device()};
  const Shape one{1, latents_shape[1], latents_shape[2], latents_shape[3]};
  const Tensor mean = net(zeros(one, options), zeros({1}, options),
                          condition.for_batch(1, "regression_step").with("img_lr", img_lr));
  check(mean.shape() == one, "regression_step: the network returned ", mean.shape(), ", wanted ",
        one);
  return contiguous(expand(mean, latents_shape));
}

Tensor diffusion_step(const EnsembleSampler& sampler, int64_t img_out_channels,
                      const std::vector<std::vector<uint64_t>>& seed_batches,
                      const LegacySamplerInputs& inputs, std::optional<double> nu,
                      const SampleGenerator& generator) {
  check<Error>(sampler && generator, "diffusion_step: the ", sampler ? "generator" : "sampler",
               " is empty");
  check(img_out_channels >= 1, "diffusion_step: wants at least 1 channel, got ", img_out_channels);
  check(!nu || *nu > 2, "diffusion_step: nu must be > 2, got ", nu.value_or(0));
  const Tensor& image = inputs.img_lr;
  check(image.defined() && image.rank() == 4,
        "diffusion_step: wants a low-resolution image [B, C, H, W]");
  const TensorOptions options{.dtype = image.dtype(), .device = image.device()};
  const NoGrad guard;
  std::vector<Tensor> batches;
  for (const std::vector<uint64_t>& seeds : seed_batches) {
    if (seeds.empty()) continue;
    const auto count = static_cast<int64_t>(seeds.size());
    std::vector<Generator> own_numbers;
    own_numbers.reserve(seeds.size());
    for (const uint64_t seed : seeds) own_numbers.push_back(generator(seed));
    NoiseSource noise(std::move(own_numbers));
    const Shape shape{count, img_out_channels, image.size(2), image.size(3)};
    const Tensor latents = nu ? noise.student_t(shape, *nu, options) : noise.normal(shape, options);
    LegacySamplerInputs own = inputs;
    own.condition = inputs.condition.for_batch(count, "diffusion_step");
    if (image.size(0) == 1)
      own.img_lr = expand(image, {count, image.size(1), image.size(2), image.size(3)});
    batches.push_back(sampler(latents, own, noise));
  }
  check(!batches.empty(), "diffusion_step: wants at least one seed");
  return cat(batches, 0);
}

}  // namespace brume::diffusion
