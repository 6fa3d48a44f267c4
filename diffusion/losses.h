#pragma once
// Denoising score matching: the network's error on noisy data, weighted by the noise level.

#include <functional>

#include <brume/autograd/ops/loss.h>
#include <brume/diffusion/model.h>
#include <brume/diffusion/schedulers/noise_scheduler.h>

namespace brume::diffusion {

enum class PredictionType { x0, score, epsilon, v };

struct MSEDSMLossOptions {
  PredictionType prediction_type = PredictionType::x0;
  /// How a prediction that is not x0 becomes x0: (prediction, x_t, t) -> x0, such as the
  /// scheduler's epsilon_to_x0.
  std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)> to_x0{};
  Reduction reduction = Reduction::mean;  // over all elements
};

/// w(t) (D(x_t, t) - x0)^2 with x_t = add_noise(x0, t); t is drawn first, then the noise.
/// @source Vincent 2011; weights of Karras et al. 2022, arXiv:2206.00364, table 1
class MSEDSMLoss {
 public:
  /// The scheduler must outlive the loss.
  /// @throws ShapeError unless to_x0 is there where prediction_type is not x0, and only there
  MSEDSMLoss(AnyModel model, const NoiseScheduler& scheduler, MSEDSMLossOptions options = {});
  MSEDSMLoss(AnyModel model, const NoiseScheduler&& gone, MSEDSMLossOptions options = {}) = delete;

  /// @shape  x0 [B, ...]; t [B], drawn if undefined -> [], or as x0 without reduction
  /// @throws ShapeError if t or the condition has another batch, the model or to_x0 returns another
  ///         shape, or the scheduler's data scales are for other channels
  Tensor operator()(const Tensor& x0, Generator& rng, const Condition& condition = {},
                    const Tensor& t = {}) const;

 protected:
  Tensor weighted(const Tensor& x0, const Tensor& weight, Generator& rng,
                  const Condition& condition, Tensor t) const;

 private:
  AnyModel model_;
  const NoiseScheduler* scheduler_;
  MSEDSMLossOptions options_;
};

/// The same with a further weight for each element, which multiplies the squared error.
class WeightedMSEDSMLoss : private MSEDSMLoss {
 public:
  using MSEDSMLoss::MSEDSMLoss;
  /// @shape  weight broadcasts to x0
  /// @throws ShapeError if it does not
  Tensor operator()(const Tensor& x0, const Tensor& weight, Generator& rng,
                    const Condition& condition = {}, const Tensor& t = {}) const {
    return weighted(x0, weight, rng, condition, t);
  }
};

}  // namespace brume::diffusion
