#pragma once
// Solvers that integrate the linear part of the equation exactly, in lambda = log(alpha / sigma),
// and approximate only the prediction of x0. Their denoiser is that prediction:
// denoiser(scheduler, {..., .type = DenoisingType::x0}). A step that ends at the noise level 0 is
// the prediction itself; one that begins where alpha is 0, so that lambda is infinite, has order 1.
//
// One network call a step. The ones of several steps keep their last predictions, and begin anew
// where a step does not continue the one before: at another time, or from an x that is not the one
// returned (of another run, or changed since). sample() gives every run a copy of its own.

#include <cstdint>
#include <vector>

#include <brume/diffusion/noise_source.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>
#include <brume/diffusion/solvers/solver.h>

namespace brume::diffusion {

/// DDIM: order 1. eta = 0 is the ODE, eta = 1 the ancestral sampling of DDPM, which draws noise.
/// @throws ShapeError without a scheduler, unless 0 <= eta <= 1, or if eta > 0 without a noise
/// source
/// @source Song et al. 2020, arXiv:2010.02502, eq. 12 and 16
struct DDIMSolver {
  const LinearGaussianNoiseScheduler* scheduler = nullptr;  // must outlive the solver
  double eta = 0;
  NoiseSource* noise = nullptr;
  Tensor operator()(const Denoiser& x0, const Tensor& x, const Tensor& t,
                    const Tensor& t_next) const;
};

/// Where the samples of a batch stand; lambda = log(alpha / sigma).
struct SampleLevels {
  std::vector<double> t, alpha, sigma, lambda;
};
/// A prediction of x0 and where it was made.
struct PastPrediction {
  Tensor x0;
  SampleLevels at;
};

/// Where a step ended: the times and the x that it returned, which the next step continues.
class StepEnd {
 public:
  StepEnd() = default;
  StepEnd(const SampleLevels& levels, Tensor x);
  bool leads_to(const SampleLevels& now, const Tensor& x) const;

 private:
  std::vector<double> t_;
  Tensor x_;
  uint32_t version_ = 0;
};

/// DPM-Solver++(2M), order 2; with eta = 1 its SDE form, which draws noise in every step.
/// @throws ShapeError without a scheduler, unless 0 <= eta, or if eta > 0 without a noise source
/// @source Lu et al. 2022, arXiv:2211.01095, algorithm 2 and eq. 19
class DPMSolverPlusPlus {
 public:
  struct Options {
    const LinearGaussianNoiseScheduler* scheduler = nullptr;  // must outlive the solver
    double eta = 0;
    NoiseSource* noise = nullptr;
  };
  explicit DPMSolverPlusPlus(Options options);
  Tensor operator()(const Denoiser& x0, const Tensor& x, const Tensor& t, const Tensor& t_next);

 private:
  Options options_;
  PastPrediction last_;
  StepEnd last_step_;
};

/// UniPC with B(h) = e^h - 1: a predictor of order `order`, whose result the next step's prediction
/// corrects without another network call, which raises the order by one. The first steps have the
/// order that the predictions so far allow.
/// @throws ShapeError without a scheduler or unless order is 1, 2 or 3
/// @source Zhao et al. 2023, arXiv:2302.04867, algorithms 5 and 7
class UniPCSolver {
 public:
  struct Options {
    const LinearGaussianNoiseScheduler* scheduler = nullptr;  // must outlive the solver
    int order = 2;
  };
  explicit UniPCSolver(Options options);
  Tensor operator()(const Denoiser& x0, const Tensor& x, const Tensor& t, const Tensor& t_next);

 private:
  Options options_;
  std::vector<PastPrediction> past_;  // the newest first
  Tensor corrected_;                  // x where the newest prediction was made
  StepEnd last_step_;
};

}  // namespace brume::diffusion
