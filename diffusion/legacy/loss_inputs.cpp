#include <brume/diffusion/legacy/loss_inputs.h>

#include <brume/autograd/ops/shape.h>
#include <brume/nn/module.h>

namespace brume::diffusion {

AugmentedImages augmented(const Tensor& images, const LegacyLossInputs& inputs) {
  if (!inputs.augment_pipe) return {images, {}, inputs.condition};
  auto [changed, labels] = inputs.augment_pipe(images);
  return {std::move(changed), {}, inputs.condition.with("augment_labels", std::move(labels))};
}

AugmentedImages augmented(const char* who, const Tensor& clean, const Tensor& low,
                          const LegacyLossInputs& inputs) {
  Shape wanted = clean.shape();
  if (wanted.rank() >= 2 && low.rank() == wanted.rank()) wanted[1] = low.size(1);
  check(clean.rank() >= 2 && low.shape() == wanted, who, ": img_lr of ", low.shape(),
        " does not fit img_clean of ", clean.shape(), "; all axes but the channels must agree");
  const Tensor alike = nn::as_dtype(low, clean);
  if (!inputs.augment_pipe) return {clean, alike, inputs.condition};
  AugmentedImages both = augmented(cat({clean, alike}, 1), inputs);
  const std::vector<Tensor> parts = split(both.clean, {clean.size(1), low.size(1)}, 1);
  return {parts[0], parts[1], std::move(both.condition)};
}

}  // namespace brume::diffusion
