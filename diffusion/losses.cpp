#include <brume/diffusion/losses.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

// A larger weight would broadcast the loss.
void check_fits(const char* who, const char* what, const Tensor& weight, const Tensor& x0,
                const char* hint = "") {
  check(broadcasts_to(weight.shape(), x0.shape()), who, ": ", what, " of ", weight.shape(),
        " does not fit data of ", x0.shape(), hint);
}

}  // namespace

MSEDSMLoss::MSEDSMLoss(AnyModel model, const NoiseScheduler& scheduler, MSEDSMLossOptions options)
    : model_(std::move(model)), scheduler_(&scheduler), options_(std::move(options)) {
  check(options_.prediction_type == PredictionType::x0 || options_.to_x0,
        "MSEDSMLoss: a score, epsilon or v prediction wants to_x0, such as the scheduler's "
        "score_to_x0, epsilon_to_x0 or v_to_x0");
  check(options_.prediction_type != PredictionType::x0 || !options_.to_x0,
        "MSEDSMLoss: to_x0 is for a score, epsilon or v prediction; give the prediction_type");
}

Tensor MSEDSMLoss::operator()(const Tensor& x0, Generator& rng, const Condition& condition,
                              const Tensor& t) const {
  return weighted(x0, {}, rng, condition, t);
}

Tensor MSEDSMLoss::weighted(const Tensor& x0, const Tensor& weight, Generator& rng,
                            const Condition& condition, Tensor t) const {
  check(x0.rank() >= 1, "MSEDSMLoss: wants data of shape [B, ...], got ", x0.shape());
  if (!t.defined())
    t = scheduler_->sample_time(x0.size(0), rng, {.dtype = x0.dtype(), .device = x0.device()});
  check_times("MSEDSMLoss", t, x0.shape());
  t = nn::as_dtype(t, x0);
  condition.check_batch(x0.size(0), "MSEDSMLoss");
  const Tensor x_t = scheduler_->add_noise(x0, t, rng);
  Tensor prediction = model_(x_t, t, condition);
  check(prediction.shape() == x0.shape(), "MSEDSMLoss: the model returned ", prediction.shape(),
        " for data of ", x0.shape());
  if (options_.to_x0) {
    prediction = options_.to_x0(prediction, x_t, t);
    check(prediction.shape() == x0.shape(), "MSEDSMLoss: to_x0 returned ", prediction.shape(),
          " for data of ", x0.shape());
  }
  Tensor w = scheduler_->loss_weight(t);  // [B] or [B, C]
  Shape shape = w.shape();
  while (shape.rank() < x0.rank()) shape.push_back(1);
  w = reshape(w, shape);
  check_fits("MSEDSMLoss", "the scheduler's loss_weight", w, x0,
             "; sigma_data is one number, or one for each channel");
  if (weight.defined()) {
    check_fits("WeightedMSEDSMLoss", "the weight", weight, x0);
    w = w * weight;
  }
  const Tensor loss = weighted_square_error(w, prediction, x0);
  switch (options_.reduction) {
    case Reduction::none:
      return loss;
    case Reduction::sum:
      return sum(loss);
    case Reduction::mean:
      break;
  }
  return mean(loss);
}

}  // namespace brume::diffusion
