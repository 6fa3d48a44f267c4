#pragma once

#include <brume/diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/model.h>

namespace brume::diffusion {

/// MSEDSMLoss on random patches, each at a time of its own. Draws new patches (rows, columns),
/// times, noise, in this order.
/// @throws Error unless the model's patches are random
class MultiDiffusionMSEDSMLoss {
 public:
  /// The scheduler must outlive the loss. @throws ShapeError as MSEDSMLoss
  MultiDiffusionMSEDSMLoss(nn::Ref<MultiDiffusionModel2D> model, const NoiseScheduler& scheduler,
                           MSEDSMLossOptions options = {});
  MultiDiffusionMSEDSMLoss(nn::Ref<MultiDiffusionModel2D> model, const NoiseScheduler&& gone,
                           MSEDSMLossOptions options = {}) = delete;
  /// @shape  x0 [B, C, H, W]; t [P * B], drawn if undefined -> [], or [P * B, C, h, w]
  Tensor operator()(const Tensor& x0, Generator& rng, const Condition& condition = {},
                    bool reset_patch_indices = true, const Tensor& t = {}) const;

 protected:
  Tensor weighted(const Tensor& x0, const Tensor& weight, Generator& rng,
                  const Condition& condition, bool reset_patch_indices, const Tensor& t) const;

 private:
  nn::Ref<MultiDiffusionModel2D> model_;
  const NoiseScheduler* scheduler_;
  MSEDSMLossOptions options_;
};

/// The same with a further weight for each pixel of the whole image.
class MultiDiffusionWeightedMSEDSMLoss : private MultiDiffusionMSEDSMLoss {
 public:
  using MultiDiffusionMSEDSMLoss::MultiDiffusionMSEDSMLoss;
  /// @shape  weight as x0
  Tensor operator()(const Tensor& x0, const Tensor& weight, Generator& rng,
                    const Condition& condition = {}, bool reset_patch_indices = true,
                    const Tensor& t = {}) const {
    check(weight.shape() == x0.shape(), "MultiDiffusionWeightedMSEDSMLoss: weight is ",
          weight.shape(), " for data of ", x0.shape());
    return weighted(x0, weight, rng, condition, reset_patch_indices, t);
  }
};

}  // namespace brume::diffusion
