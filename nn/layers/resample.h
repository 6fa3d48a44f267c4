#pragma once
// Resampling by 2 with the filter [1, 1].

#include <brume/core/tensor.h>

namespace brume::nn {

/// Each pixel four times. @shape [B, C, H, W] -> [B, C, 2 H, 2 W]
Tensor repeat_2x2(const Tensor& x);
/// Averages of blocks of 2 x 2; an odd last row or column is dropped.
/// @shape [B, C, H, W] -> [B, C, H / 2, W / 2]
Tensor average_2x2(const Tensor& x);

}  // namespace brume::nn
