#include <brume/diffusion/dps.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/backward.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

Tensor like(const Tensor& value, const Tensor& x) {
  return transfer(convert(value, x.dtype()), x.device());
}

// x itself where the caller records through it, else a leaf of the same memory.
Tensor start_of_graph(const Tensor& x) {
  if (grad_enabled() && requires_grad(x)) return x;
  return set_requires_grad(alias(x, x.shape(), x.strides()));
}

bool any_positive(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  return std::any_of(values.begin(), values.end(), [](double v) { return v > 0; });
}

Tensor element_loss(const char* who, const Observations& o, const Tensor& prediction,
                    const Tensor& y) {
  if (o.loss) {
    const Tensor loss = o.loss(prediction, y);
    check(loss.shape() == prediction.shape(), who, ": the loss of ", loss.shape(),
          " wants one number for each element of the prediction of ", prediction.shape(),
          "; their sum is taken here");
    return loss;
  }
  if (o.norm == 2) return square(prediction - y);
  const Tensor distance = abs(prediction - y);
  return o.norm == 1 ? distance : pow(distance, static_cast<double>(o.norm));
}

Tensor gradient_by(const char* who, const Tensor& total, const Tensor& x, const Observations& o) {
  Tensor gradient;
  try {
    if (requires_grad(total))
      gradient = grad({total}, {x}, {},
                      {.retain_graph = o.retain_graph, .create_graph = o.create_graph})[0];
  } catch (const GradError& error) {
    throw GradError(
        cat(who, ": ", error.what(), "; of several guidances all but the last want retain_graph"));
  }
  check<GradError>(gradient.defined(), who,
                   ": the prediction does not depend on x; predictor and observation operator must "
                   "record gradients (no NoGrad, detach or numbers taken out of a tensor)");
  return gradient;
}

}  // namespace

DPSScorePredictor::DPSScorePredictor(Predictor x0_predictor, X0ToScore x0_to_score_fn,
                                     std::vector<DPSGuidance> guidances)
    : x0_predictor_(std::move(x0_predictor)),
      x0_to_score_(std::move(x0_to_score_fn)),
      guidances_(std::move(guidances)) {
  check<Error>(x0_predictor_ && x0_to_score_ && !guidances_.empty(),
               "DPSScorePredictor: wants an x0_predictor, an x0_to_score_fn and a guidance");
}

Tensor DPSScorePredictor::operator()(const Tensor& x, const Tensor& t) const {
  const Tensor from = start_of_graph(x);
  Tensor x0, terms;
  {
    const EnableGrad record;
    x0 = x0_predictor_(from, t);
    check(x0.shape() == x.shape(), "DPSScorePredictor: the predictor returned ", x0.shape(),
          " for x of ", x.shape());
    for (const DPSGuidance& guidance : guidances_) {
      const Tensor term = guidance(from, t, x0);
      check(term.shape() == x.shape(), "DPSScorePredictor: a guidance returned ", term.shape(),
            " for x of ", x.shape());
      terms = terms.defined() ? terms + term : term;
    }
  }
  return x0_to_score_(x0, from, t) + terms;
}

void check_observations(const char* who, const Observations& o) {
  check(o.y.defined(), who, ": wants observations y");
  for (const auto& [name, value] :
       {std::pair("std_y", &o.std_y.value), std::pair("gamma", &o.gamma.value)})
    check(broadcasts_to(value->shape(), o.y.shape()), who, ": ", name, " of ", value->shape(),
          " does not broadcast to y of ", o.y.shape());
  const std::vector<double> errors = o.std_y.value.to_vector<double>();
  for (double error : errors)
    check(std::isfinite(error) && error > 0, who, ": std_y must be positive, got ", error);
  for (double factor : o.gamma.value.to_vector<double>())
    check(std::isfinite(factor) && factor >= 0, who, ": gamma must not be negative, got ", factor);
  check(o.norm >= 1 || o.loss, who, ": norm must be at least 1, got ", o.norm);
  check(o.sigma_fn || !any_positive(o.gamma.value), who, ": gamma > 0 wants a sigma_fn");
}

Tensor without_gaps(const char* who, const Tensor& y, const Tensor& mask) {
  check(mask.defined(), who, ": wants a mask");
  check(broadcasts_to(mask.shape(), y.shape()), who, ": a mask of ", mask.shape(),
        " does not broadcast to y of ", y.shape());
  return where(expand(ne(mask, 0), y.shape()), y, zeros_like(y));
}

Tensor likelihood_score(const char* who, const Observations& o, const Tensor& x, const Tensor& t,
                        const Tensor& prediction, const Tensor& mask) {
  const EnableGrad record;
  Tensor loss = element_loss(who, o, prediction, like(o.y, x));
  if (mask.defined()) loss = like(mask, x) * loss;
  Tensor variance = square(like(o.std_y.value, x));
  if (o.sigma_fn) {
    const Tensor tb = per_sample(t, loss);
    Tensor level = o.sigma_fn(tb);
    if (o.alpha_fn) level = level / o.alpha_fn(tb);
    variance = variance + like(o.gamma.value, x) * square(level);
  }
  return -gradient_by(who, sum(loss / (variance * 2.0)), x, o);
}

ModelConsistencyDPSGuidance::ModelConsistencyDPSGuidance(
    std::function<Tensor(const Tensor&)> observation_operator, Observations observations)
    : operator_(std::move(observation_operator)), observations_(std::move(observations)) {
  check<Error>(static_cast<bool>(operator_),
               "ModelConsistencyDPSGuidance: wants an observation operator");
  check_observations("ModelConsistencyDPSGuidance", observations_);
}

Tensor ModelConsistencyDPSGuidance::operator()(const Tensor& x, const Tensor& t,
                                               const Tensor& x0) const {
  const EnableGrad record;
  const Tensor prediction = operator_(x0);
  check(broadcasts_to(observations_.y.shape(), prediction.shape()),
        "ModelConsistencyDPSGuidance: the operator returned ", prediction.shape(), " for y of ",
        observations_.y.shape());
  return likelihood_score("ModelConsistencyDPSGuidance", observations_, x, t, prediction);
}

DataConsistencyDPSGuidance::DataConsistencyDPSGuidance(Tensor mask, Observations observations)
    : mask_(std::move(mask)), observations_(std::move(observations)) {
  check_observations("DataConsistencyDPSGuidance", observations_);
  observations_.y = without_gaps("DataConsistencyDPSGuidance", observations_.y, mask_);
}

Tensor DataConsistencyDPSGuidance::operator()(const Tensor& x, const Tensor& t,
                                              const Tensor& x0) const {
  check(broadcasts_to(observations_.y.shape(), x0.shape()), "DataConsistencyDPSGuidance: y of ",
        observations_.y.shape(), " does not broadcast to x of ", x0.shape());
  return likelihood_score("DataConsistencyDPSGuidance", observations_, x, t, x0, mask_);
}

}  // namespace brume::diffusion
