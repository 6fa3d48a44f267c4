#pragma once
// Diffusion posterior sampling: a score that also follows observations of the sample.

#include <functional>
#include <vector>

#include <brume/diffusion/model.h>

namespace brume::diffusion {

/// A term added to the score, from x, t and the prediction of x0, whose graph leads back to x.
/// @shape x, x0 and the result [B, ...], t [B]
using DPSGuidance = std::function<Tensor(const Tensor& x, const Tensor& t, const Tensor& x0)>;
/// (x0, x_t, t) -> score, such as a scheduler's x0_to_score.
using X0ToScore = std::function<Tensor(const Tensor& x0, const Tensor& x_t, const Tensor& t)>;

/// A predictor of the score: that of x0_predictor and the guidances' terms. Records what it needs
/// even where gradients are off; the caller's mode decides whether the result is recorded too.
/// @source Chung et al. 2022, arXiv:2209.14687
class DPSScorePredictor {
 public:
  /// @throws Error if the predictor, the conversion or all guidances are missing
  DPSScorePredictor(Predictor x0_predictor, X0ToScore x0_to_score_fn,
                    std::vector<DPSGuidance> guidances);
  Tensor operator()(const Tensor& x, const Tensor& t) const;

 private:
  Predictor x0_predictor_;
  X0ToScore x0_to_score_;
  std::vector<DPSGuidance> guidances_;
};

/// One number, or one for each element of a tensor that broadcasts.
struct NumberOrTensor {
  NumberOrTensor(double number) : value(scalar(number, {.dtype = DType::f64})) {}
  NumberOrTensor(Tensor tensor) : value(std::move(tensor)) {}
  Tensor value;
};

/// How far a prediction is from the observations y: the negative logarithm of a likelihood.
struct Observations {
  Tensor y{};
  NumberOrTensor std_y = 1.0;  // the observations' error; positive everywhere
  int64_t norm = 2;            // the loss |prediction - y|^norm, element by element
  /// (prediction, y) -> loss of every element; instead of norm.
  std::function<Tensor(const Tensor& prediction, const Tensor& y)> loss{};
  /// How much of the uncertainty (sigma / alpha)^2 of the prediction itself adds to std_y^2.
  NumberOrTensor gamma = 0.0;
  std::function<Tensor(const Tensor&t)> sigma_fn{}, alpha_fn{};  // default: 0 and 1
  /// Keep the graph for a guidance that follows, or record the gradient itself.
  bool retain_graph = false, create_graph = false;
};

/// Follows observations y = A(x0) made by any differentiable operator. The term is
/// -grad_x sum loss(A(x0), y) / (2 (std_y^2 + gamma sigma^2 / alpha^2)).
/// @throws ShapeError if std_y or gamma do not broadcast to y, or gamma > 0 without sigma_fn;
///         Error if std_y is not positive or gamma is negative; in a call GradError if the
///         prediction does not depend on x, or a guidance before did not retain the graph
/// @source Rozet and Louppe 2023, arXiv:2306.10574 (gamma)
class ModelConsistencyDPSGuidance {
 public:
  ModelConsistencyDPSGuidance(std::function<Tensor(const Tensor& x0)> observation_operator,
                              Observations observations);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& x0) const;

 private:
  std::function<Tensor(const Tensor&)> operator_;
  Observations observations_;
};

/// Follows observations of x0 itself where the mask is not 0.
/// @shape  mask and y broadcast to x
class DataConsistencyDPSGuidance {
 public:
  DataConsistencyDPSGuidance(Tensor mask, Observations observations);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& x0) const;

 private:
  Tensor mask_;
  Observations observations_;
};

/// For guidances of one's own: checks what the constructors above check. @throws ShapeError
void check_observations(const char* who, const Observations& observations);
/// y with 0 where the mask is 0: what was not observed is often a NaN, which no factor of 0 would
/// take away. @throws ShapeError unless the mask broadcasts to y
Tensor without_gaps(const char* who, const Tensor& y, const Tensor& mask);
/// The term of a prediction of the observations, which depends on x; `mask` may be undefined.
/// @throws GradError naming `who` if the graph does not lead from the prediction to x
Tensor likelihood_score(const char* who, const Observations& observations, const Tensor& x,
                        const Tensor& t, const Tensor& prediction, const Tensor& mask = {});

}  // namespace brume::diffusion
