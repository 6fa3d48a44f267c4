#pragma once

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>

namespace brume {

/// Standard normal numbers that a seed determines.
inline Tensor noise(const Shape& shape, uint64_t seed = 1) {
  Generator rng(seed);
  return normal(shape, rng);
}

/// The largest difference of two elements.
inline double distance(const Tensor& x, const Tensor& y) { return max(abs(x - y)).item(); }

}  // namespace brume
