#pragma once
// The losses of CorrDiff, element by element: regression of the mean, then diffusion of what it
// leaves. Networks find the low-resolution image in the condition, under "img_lr".
// @source Mardani et al. 2023, arXiv:2309.15214

#include <vector>

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/legacy/loss_inputs.h>
#include <brume/diffusion/model.h>
#include <brume/diffusion/multi_diffusion/patching.h>

namespace brume::diffusion {

/// (net(0, img_lr) - img_clean)^2
/// @shape  img_clean and the result [B, C, H, W], img_lr [B, Cl, H, W]
class RegressionLoss {
 public:
  Tensor operator()(const AnyModel& net, const Tensor& img_clean, const Tensor& img_lr,
                    const LegacyLossInputs& inputs = {}) const;
};

/// RegressionLoss of all channels but prob_channels, which are logits of classes: their cross
/// entropy with the shares in img_clean is one further channel, the last.
/// @shape  result [B, C - prob_channels + 1, H, W]
class RegressionLossCE {
 public:
  /// @throws ShapeError if there are no prob_channels
  explicit RegressionLossCE(std::vector<int64_t> prob_channels = {4, 5, 6, 7, 8});
  Tensor operator()(const AnyModel& net, const Tensor& img_clean, const Tensor& img_lr,
                    const LegacyLossInputs& inputs = {}) const;

 private:
  std::vector<int64_t> prob_channels_;
};

struct ResidualLossOptions {
  double P_mean = 0, P_std = kEdmPStd, sigma_data = kSigmaData;
  bool hr_mean_conditioning = false;  // the network sees the mean before the channels of img_lr
};

struct ResidualLossInputs {
  Condition condition{};
  AugmentPipe augment_pipe{};
  /// The loss of these patches: the network sees the whole img_lr, resized, behind the channels of
  /// each, the condition of its image, and knows its place by "global_index" if locates_patches.
  const RandomPatching2D* patching = nullptr;
  bool locates_patches = true;
  /// The regression, where the caller has it already (several sets of patches of one batch), of
  /// img_clean's shape.
  Tensor y_mean{};
};

/// EDM's loss on the residual of a regression, one noise level for every row.
/// @shape  img_clean [B, C, H, W] -> as it, or [P * B, C, h, w] of patches
class ResidualLoss {
 public:
  /// @throws ShapeError unless P_std and sigma_data are positive
  explicit ResidualLoss(AnyModel regression_net, ResidualLossOptions options = {});
  /// The regression of these images.
  Tensor regression(const Tensor& img_clean, const Tensor& img_lr,
                    const Condition& condition = {}) const;
  Tensor operator()(const AnyModel& net, const Tensor& img_clean, const Tensor& img_lr,
                    Generator& rng, const ResidualLossInputs& inputs = {}) const;

 private:
  AnyModel regression_net_;
  ResidualLossOptions options_;
};

}  // namespace brume::diffusion
