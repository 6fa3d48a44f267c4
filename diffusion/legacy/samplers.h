#pragma once
// The two older samplers, which take a network of noise levels (legacy/preconditioners.h, or any
// model called as (x, sigma, condition), sigma one for each row of x) and an image to condition on.

#include <functional>
#include <limits>
#include <optional>

#include <brume/diffusion/defaults.h>
#include <brume/diffusion/model.h>
#include <brume/diffusion/multi_diffusion/patching.h>
#include <brume/diffusion/noise_source.h>

namespace brume::diffusion {

/// What a run is conditioned on. The network finds the image, with mean_hr before its channels,
/// under the name "img_lr" (an EDMPrecond: "condition").
/// @shape  img_lr [B, Cl, H, W], mean_hr [B or 1, Ch, H, W]
struct LegacySamplerInputs {
  Tensor img_lr{}, mean_hr{};
  Condition condition{};  // further named tensors, such as "class_labels"; one row serves all
  /// The network works on patches, which it sees with the whole img_lr, resized, as further
  /// channels, and the condition of their image, and knows by "global_index" if locates_patches;
  /// results are fused.
  const GridPatching2D* patching = nullptr;
  bool locates_patches = true;
};

/// Called after each step with its number from 1 and x; false ends the run there.
using OnLegacyStep = std::function<bool(int64_t step, const Tensor& x)>;

struct StochasticSamplerOptions {
  int64_t num_steps = 18;
  double sigma_min = kEdmSigmaMin, sigma_max = 800, rho = kEdmRho;  // within the network's range
  double S_churn = 0, S_min = 0, S_max = std::numeric_limits<double>::infinity(), S_noise = 1;
  OnLegacyStep on_step{};
};

/// Algorithm 2 of EDM without its bound on the churn.
/// @shape  latents and the result [B, C, H, W]
/// @throws ShapeError on fewer than 2 steps, a bad range of sigma, rho, S_churn, S_min and S_max or
///         S_noise, or inputs of other batch or spatial sizes; Error if x is not finite after a
///         step
/// @source Karras et al. 2022, arXiv:2206.00364, algorithm 2
Tensor stochastic_sampler(const AnyModel& net, const Tensor& latents,
                          const LegacySamplerInputs& inputs, NoiseSource& noise,
                          const StochasticSamplerOptions& options = {});

enum class LegacySolver { euler, heun };
enum class Discretization { vp, ve, iddpm, edm };  // where the noise levels are
enum class Schedule { vp, ve, linear };            // sigma(t)
enum class Scaling { vp, none };                   // s(t)

struct DeterministicSamplerOptions {
  int64_t num_steps = 18;
  std::optional<double> sigma_min{}, sigma_max{};  // by default the discretization's
  double rho = kEdmRho;
  LegacySolver solver = LegacySolver::heun;
  Discretization discretization = Discretization::edm;
  Schedule schedule = Schedule::linear;
  Scaling scaling = Scaling::none;
  double epsilon_s = kVpEpsilonS, C_1 = kIddpmC1, C_2 = kIddpmC2;
  int64_t M = kLabels;
  double alpha = 1;
  double S_churn = 0, S_min = 0, S_max = std::numeric_limits<double>::infinity(), S_noise = 1;
  DType dtype = DType::f64;  // to integrate in
  OnLegacyStep on_step{};
};

/// The general sampler of EDM's ablation: any discretization, schedule and scaling. It integrates
/// in dtype around a network in f32, draws noise in every step, and returns dtype.
/// @shape  latents and the result [B, C, H, W]
/// @throws as stochastic_sampler; ShapeError unless 0 < alpha <= 1
/// @source Karras et al. 2022, arXiv:2206.00364, algorithm 1, table 1 and appendix C
Tensor deterministic_sampler(const AnyModel& net, const Tensor& latents,
                             const LegacySamplerInputs& inputs, NoiseSource& noise,
                             const DeterministicSamplerOptions& options = {});

}  // namespace brume::diffusion
