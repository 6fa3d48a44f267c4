#pragma once
// Random tensors and dropout. A draw is a function of (seed, offset, element) alone.

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume {

/// Standard normal numbers. Images pass their shape as logical [B, C, H, W]; numbers are drawn in
/// that order whatever the layout.
Tensor normal(const Shape& shape, Generator& rng, TensorOptions options = {});
/// Leaves `rng` as normal(...) of these arguments would.
void skip_normal(const Shape& shape, Generator& rng, TensorOptions options = {});
/// Uniform on [0, 1).
Tensor uniform(const Shape& shape, Generator& rng, TensorOptions options = {});
/// Standard gamma numbers. @throws ShapeError unless 1 <= concentration < infinity
Tensor gamma(const Shape& shape, double concentration, Generator& rng, TensorOptions options = {});
/// Integers in [low, high), i64.
Tensor random_integers(const Shape& shape, int64_t low, int64_t high, Generator& rng);
/// 0 .. n-1 in random order, i64.
Tensor random_permutation(int64_t n, Generator& rng);
/// Zeroes each element with probability p and scales the rest by 1 / (1 - p). Stores the
/// generator's offset, not a mask.
Tensor dropout(const Tensor& x, double p, Generator& rng);

}  // namespace brume
