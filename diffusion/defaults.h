#pragma once
// Numbers that several classes have for defaults; as in the reference.
// @source Karras et al. 2022, arXiv:2206.00364, table 1

#include <cstdint>

namespace brume::diffusion {

/// The data's standard deviation.
inline constexpr double kSigmaData = 0.5;
/// Where EDM's noise levels end, and how its sampling times are spaced.
inline constexpr double kEdmSigmaMin = 0.002, kEdmSigmaMax = 80, kEdmRho = 7;
/// The logarithm of EDM's training levels.
inline constexpr double kEdmPMean = -1.2, kEdmPStd = 1.2;
inline constexpr double kVeSigmaMin = 0.02, kVeSigmaMax = 100;
/// The rate of VP's noise, and the least time of training and of sampling. VPNoiseScheduler's
/// beta_d is another, 19.1, as there.
inline constexpr double kVpBetaD = 19.9, kVpBetaMin = 0.1, kVpEpsilonT = 1e-5, kVpEpsilonS = 1e-3;
/// Bounds of iDDPM's steps.
inline constexpr double kIddpmC1 = 0.001, kIddpmC2 = 0.008;
/// Noise labels of VP and iDDPM.
inline constexpr int64_t kLabels = 1000;

}  // namespace brume::diffusion
