#pragma once
// The block loops of every function in AllPointwiseFns, by its place there.

#include <brume/core/kernels/pointwise_blocks.h>

namespace brume::cpu {

/// f32 per instruction set: value and gradient.
struct PointwiseTable {
  const PointwiseBlocks<float>* functions;
};
/// Portable: checks and second derivatives.
extern const PointwiseBlocks<float>* const pointwise_second_f32;
extern const PointwiseBlocks<double>* const pointwise_f64;

}  // namespace brume::cpu
