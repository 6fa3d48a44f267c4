#pragma once
// Guidance by a second prediction: one goes further in the direction from the unwanted prediction
// to the wanted one.

#include <limits>

#include <brume/diffusion/model.h>

namespace brume::diffusion {

struct GuidanceOptions {
  double scale = 1;  // 1: the wanted prediction alone
  /// Times at which guidance acts; elsewhere the wanted prediction stands alone.
  /// @source Kynkaanniemi et al. 2024, arXiv:2404.07724
  double t_min = 0, t_max = std::numeric_limits<double>::infinity();
};

/// unwanted + scale (wanted - unwanted). The unwanted one is asked only where it counts.
/// @throws ShapeError unless t_min <= t_max and scale is finite; Error if a predictor is empty
Predictor guided(Predictor wanted, Predictor unwanted, GuidanceOptions options);

/// Classifier-free guidance: the model under its condition, away from the model under the other
/// one, by default none. Networks with class labels take none for an error: their labels were
/// trained to be absent as zeros, so give these, such as zeros_like(labels). Works for predictions
/// of x0, score, epsilon and v alike.
/// @source Ho and Salimans 2022, arXiv:2207.12598
Predictor classifier_free_guidance(const AnyModel& model, Condition condition,
                                   GuidanceOptions options, Condition unconditional = {});

/// Autoguidance: the model, away from a worse version of itself (smaller, or trained less).
/// @source Karras et al. 2024, arXiv:2406.02507
Predictor autoguidance(const AnyModel& model, const AnyModel& worse, const Condition& condition,
                       GuidanceOptions options);

}  // namespace brume::diffusion
