#pragma once

#include <vector>

#include <brume/core/tensor.h>

namespace brume::kolmogorov {

/// The kinetic energy of vorticity fields by wavenumber: entry k is the energy of the modes with
/// k - 1/2 <= |(kx, ky)| < k + 1/2, averaged over the fields. Shells beyond (N - 1) / 2 are not
/// whole: the grid has their corners only. All together are the mean of (u^2 + v^2) / 2.
/// @shape  vorticity [B, 1, N, N] or [B, N, N], floating, nothing at wavenumber N / 2
std::vector<double> energy_spectrum(const Tensor& vorticity);

}  // namespace brume::kolmogorov
