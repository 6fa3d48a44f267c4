#pragma once
// The two steps that CorrDiff generates an ensemble by: the regression of the mean, and samples of
// what it leaves.
// @source Mardani et al. 2023, arXiv:2309.15214

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <brume/diffusion/legacy/samplers.h>

namespace brume::diffusion {

/// The mean that a regression network gives one low-resolution image, once for each sample; without
/// gradients.
/// @shape  img_lr [1, Cl, H, W], latents_shape [B, C, H, W] -> latents_shape
/// @throws ShapeError if img_lr is more than one image
Tensor regression_step(const AnyModel& net, const Tensor& img_lr, const Shape& latents_shape,
                       const Condition& condition = {});

/// A sampler with its network and options bound, such as one of legacy/samplers.h.
using EnsembleSampler = std::function<Tensor(
    const Tensor& latents, const LegacySamplerInputs& inputs, NoiseSource& noise)>;

/// Where the numbers of a sample come from, such as Generator::torch_cpu, or recorded draws.
using SampleGenerator = std::function<Generator(uint64_t seed)>;

/// One sample for each seed, batch by batch, which do not depend on how the seeds are split;
/// without gradients. An image, and a condition, of batch 1 serves all. With `nu` latents are
/// Student-t.
/// @shape  inputs.img_lr [1 or seeds of a batch, Cl, H, W] -> [seeds, img_out_channels, H, W]
/// @throws ShapeError if there are no seeds or no channels, or unless nu > 2; Error if the sampler
///         is empty
Tensor diffusion_step(
    const EnsembleSampler& sampler, int64_t img_out_channels,
    const std::vector<std::vector<uint64_t>>& seed_batches, const LegacySamplerInputs& inputs,
    std::optional<double> nu = {},
    const SampleGenerator& generator = [](uint64_t seed) { return Generator(seed); });

}  // namespace brume::diffusion
