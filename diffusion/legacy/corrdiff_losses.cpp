#include <brume/diffusion/legacy/corrdiff_losses.h>

#include <algorithm>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/legacy/losses.h>
#include <brume/diffusion/legacy/patch_condition.h>

namespace brume::diffusion {
namespace {

// What a regression network makes of the low-resolution image alone.
Tensor regress(const char* who, const AnyModel& net, const Tensor& like, const Tensor& low,
               const Condition& condition) {
  const Tensor t = zeros({like.size(0)}, {.dtype = like.dtype(), .device = like.device()});
  const Condition all = condition.for_batch(like.size(0), who).with("img_lr", low);
  const Tensor prediction = net(zeros_like(like), t, all);
  check(prediction.shape() == like.shape(), who, ": the network returned ", prediction.shape(),
        " for images of ", like.shape());
  return prediction;
}

Tensor channels(const Tensor& x, const std::vector<int64_t>& which) {
  const Tensor index = from_vector(which, {static_cast<int64_t>(which.size())});
  return index_select(x, 1, transfer(index, x.device()));
}

}  // namespace

Tensor RegressionLoss::operator()(const AnyModel& net, const Tensor& img_clean,
                                  const Tensor& img_lr, const LegacyLossInputs& inputs) const {
  const AugmentedImages p = augmented("RegressionLoss", img_clean, img_lr, inputs);
  return square(regress("RegressionLoss", net, p.clean, p.low, p.condition) - p.clean);
}

RegressionLossCE::RegressionLossCE(std::vector<int64_t> prob_channels)
    : prob_channels_(std::move(prob_channels)) {
  check(!prob_channels_.empty(), "RegressionLossCE: wants at least one of prob_channels");
}

Tensor RegressionLossCE::operator()(const AnyModel& net, const Tensor& img_clean,
                                    const Tensor& img_lr, const LegacyLossInputs& inputs) const {
  const AugmentedImages p = augmented("RegressionLossCE", img_clean, img_lr, inputs);
  std::vector<int64_t> others;
  for (int64_t c = 0; c < p.clean.size(1); ++c)
    if (std::find(prob_channels_.begin(), prob_channels_.end(), c) == prob_channels_.end())
      others.push_back(c);
  check(others.size() + prob_channels_.size() == static_cast<size_t>(p.clean.size(1)),
        "RegressionLossCE: prob_channels must be different channels of img_clean, which has ",
        p.clean.size(1));
  const Tensor y = regress("RegressionLossCE", net, p.clean, p.low, p.condition);
  const Tensor logits = channels(y, prob_channels_);
  const Tensor log_share = logits - logsumexp(logits, 1, keep_axis);
  const Tensor entropy = -sum(channels(p.clean, prob_channels_) * log_share, 1, keep_axis);
  return cat({square(channels(y, others) - channels(p.clean, others)), entropy}, 1);
}

ResidualLoss::ResidualLoss(AnyModel regression_net, ResidualLossOptions options)
    : regression_net_(std::move(regression_net)), options_(options) {
  check<Error>(static_cast<bool>(regression_net_), "ResidualLoss: wants a regression network");
  (void)EDMLoss({.P_mean = options.P_mean,
                 .P_std = options.P_std,
                 .sigma_data = options.sigma_data});  // checks the ranges
}

Tensor ResidualLoss::regression(const Tensor& img_clean, const Tensor& img_lr,
                                const Condition& condition) const {
  return regress("ResidualLoss", regression_net_, img_clean, img_lr, condition);
}

Tensor ResidualLoss::operator()(const AnyModel& net, const Tensor& img_clean, const Tensor& img_lr,
                                Generator& rng, const ResidualLossInputs& inputs) const {
  const AugmentedImages p =
      augmented("ResidualLoss", img_clean, img_lr,
                {.condition = inputs.condition, .augment_pipe = inputs.augment_pipe});
  const Tensor mean =
      inputs.y_mean.defined() ? inputs.y_mean : regression(p.clean, p.low, p.condition);
  check(mean.shape() == p.clean.shape(), "ResidualLoss: y_mean is ", mean.shape(),
        " for img_clean of ", p.clean.shape(), "; it is what regression() returns");
  Tensor residual = p.clean - mean;
  Tensor low = options_.hr_mean_conditioning ? cat({mean, p.low}, 1) : p.low;
  Condition condition = p.condition.for_batch(p.clean.size(0), "ResidualLoss");
  if (const RandomPatching2D* patching = inputs.patching) {
    residual = patching->apply(residual);
    low = patching->apply(low, nn::as_dtype(img_lr, low));
    condition = patch_condition("ResidualLoss", *patching, condition, img_clean.size(0),
                                inputs.locates_patches, img_clean.device());
  }
  const EDMLoss denoising(
      {.P_mean = options_.P_mean, .P_std = options_.P_std, .sigma_data = options_.sigma_data});
  return denoising(net, residual, rng, {.condition = condition.with("img_lr", low)});
}

}  // namespace brume::diffusion
