#include <brume/diffusion/multi_diffusion/losses.h>

namespace brume::diffusion {

MultiDiffusionMSEDSMLoss::MultiDiffusionMSEDSMLoss(nn::Ref<MultiDiffusionModel2D> model,
                                                   const NoiseScheduler& scheduler,
                                                   MSEDSMLossOptions options)
    : model_(std::move(model)), scheduler_(&scheduler), options_(std::move(options)) {
  (void)MSEDSMLoss(model_->model(), scheduler, options_);  // checks the options
}

Tensor MultiDiffusionMSEDSMLoss::operator()(const Tensor& x0, Generator& rng,
                                            const Condition& condition, bool reset_patch_indices,
                                            const Tensor& t) const {
  return weighted(x0, {}, rng, condition, reset_patch_indices, t);
}

Tensor MultiDiffusionMSEDSMLoss::weighted(const Tensor& x0, const Tensor& weight, Generator& rng,
                                          const Condition& condition, bool reset_patch_indices,
                                          const Tensor& t) const {
  if (reset_patch_indices) model_->reset_patch_indices(rng);
  const BasePatching2D& cut = model_->patching();
  const Condition rows = model_->patch_condition(
      cut, condition, {0, cut.patch_num() * x0.size(0), x0.size(0)}, x0.dtype());
  const Tensor patches = cut.apply(x0);
  if (!weight.defined())
    return MSEDSMLoss(model_->model(), *scheduler_, options_)(patches, rng, rows, t);
  return WeightedMSEDSMLoss(model_->model(), *scheduler_, options_)(patches, cut.apply(weight), rng,
                                                                    rows, t);
}

}  // namespace brume::diffusion
