#pragma once
// What several files of diffusion cases need: objects of the library behind values of a case.

#include <functional>
#include <memory>

#include <brume/diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/patching.h>
#include <brume/diffusion/schedulers/linear_gaussian.h>

#include "tests/conformance/arguments.h"

namespace brume::conformance {

using SchedulerRef = std::shared_ptr<const diffusion::LinearGaussianNoiseScheduler>;
SchedulerRef scheduler(Arguments& a, std::string_view name);

using PatchingRef = std::shared_ptr<diffusion::BasePatching2D>;
PatchingRef patching_of(const Object& object);

// Functions given as arguments, called by the reference's names of their parameters. Empty if there
// is none.
std::function<Tensor(const Tensor&)> function_of(const Value* callable, const char* name);
diffusion::Predictor function_of(const Value* callable, const char* first, const char* second);

template <class Loss>
struct HeldLoss {
  SchedulerRef scheduler;  // which the loss only points to
  Loss loss;
};

/// The arguments prediction_type, score_to_x0_fn and epsilon_to_x0_fn.
diffusion::MSEDSMLossOptions prediction_options(Arguments& a);
/// These and `reduction`.
diffusion::MSEDSMLossOptions loss_options(Arguments& a);

/// Draws from the recorded draws of the case.
diffusion::NoiseSource& recorded_noise();

}  // namespace brume::conformance
