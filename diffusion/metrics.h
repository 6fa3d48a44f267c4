#pragma once
// How good samples are: numbers computed in f64 on the host, without gradients. A NaN or an
// infinity among the inputs is an Error that names its place.

#include <cstdint>
#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::diffusion {

/// Continuous ranked probability score of an ensemble, averaged over all places: the mean of
/// |member - truth| less half the mean of |member - member|. With `fair` the second mean leaves out
/// a member beside itself, so that its expectation does not depend on the ensemble's size.
/// @shape  ensemble [members, ...], truth [...]
/// @throws ShapeError if shapes do not agree, there is no place, or fair and there is one member
/// @source Gneiting and Raftery 2007, doi:10.1198/016214506000001437; Ferro 2014 (fair)
double crps(const Tensor& ensemble, const Tensor& truth, bool fair = false);

/// How often the truth has each rank among the members, from below all to above all; the places of
/// equal members are shared by chance. Flat if the truth could be a member.
/// @shape  ensemble [members, ...], truth [...] -> [members + 1] counts
std::vector<int64_t> rank_histogram(const Tensor& ensemble, const Tensor& truth, Generator& rng);

/// Mean power of images at each whole wave number, the nearest to the length of (ky, kx).
/// @shape  x [..., H, W] -> [min(H, W) / 2 + 1]
/// @units  squares of x; all wave numbers of a noise of variance 1 have power 1
std::vector<double> power_spectrum(const Tensor& x);

/// Frechet distance of two normal distributions: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2
/// C1^1/2)^1/2).
/// @shape  means [D], covariances [D, D], or [D] variances for both
/// @throws ShapeError if shapes do not agree; Error if a covariance is not symmetric
///         or a variance negative
/// @source Dowson and Landau 1982; Heusel et al. 2017, arXiv:1706.08500
double frechet_distance(const Tensor& mean1, const Tensor& covariance1, const Tensor& mean2,
                        const Tensor& covariance2);
/// The same of two samples' means and covariances. @shape a [n, D], b [m, D]
double frechet_distance(const Tensor& a, const Tensor& b);

/// Mean over random directions of the squared distance of order 2 between the projections of two
/// samples of one size; its square root is returned.
/// @shape  a, b [n, ...]
/// @source Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3
double sliced_wasserstein(const Tensor& a, const Tensor& b, Generator& rng,
                          int64_t projections = 128);

}  // namespace brume::diffusion
