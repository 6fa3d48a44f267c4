#pragma once

#include <functional>
#include <utility>

#include <brume/diffusion/condition.h>

namespace brume::diffusion {

/// Images -> augmented images and the labels that say how; runs before noise is added. The labels
/// join the condition as "augment_labels"; they may be undefined.
using AugmentPipe = std::function<std::pair<Tensor, Tensor>(const Tensor& images)>;

/// What the network is told beside x and sigma, and what may happen to the images before.
struct LegacyLossInputs {
  Condition condition{};
  AugmentPipe augment_pipe{};
};

/// Images after the augmentation, and the condition with its labels.
struct AugmentedImages {
  Tensor clean, low;
  Condition condition;
};
AugmentedImages augmented(const Tensor& images, const LegacyLossInputs& inputs);
/// Both, in the type of the first, are augmented as one image with the channels of both.
/// @throws ShapeError naming `who` if batch or spatial sizes differ
AugmentedImages augmented(const char* who, const Tensor& clean, const Tensor& low,
                          const LegacyLossInputs& inputs);

}  // namespace brume::diffusion
