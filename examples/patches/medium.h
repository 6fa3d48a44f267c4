#pragma once
// Two-phase media: what a random field with one length scale leaves above and below its mean.

#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::patches {

/// Media of any size, periodic, of one law: near -1 and 1 with borders a pixel or two wide. Waves
/// have lengths around 10 pixels, so that a patch of 16 x 16 sees little more than one.
/// @shape  result [count, 1, size, size]
Tensor draw_media(int64_t count, int64_t size, Generator& rng);

/// Mean of the products of values `lag` pixels apart along rows and columns, for lags 0, 1, ....
/// The border is not crossed. @shape x [N, 1, H, W] -> [lags]
std::vector<double> two_point(const Tensor& x, int64_t lags);

}  // namespace brume::patches
