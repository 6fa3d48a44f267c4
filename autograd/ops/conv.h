#pragma once
// Convolutions in one, two and three dimensions (cross-correlations, as everywhere in this field).

#include <brume/core/tensor.h>

namespace brume {

/// One number for every axis, or one per axis.
struct PerAxis {
  PerAxis(int64_t all) : values{all, all, all} {}
  PerAxis(int64_t h, int64_t w) : values{h, w, w} {}
  PerAxis(int64_t d, int64_t h, int64_t w) : values{d, h, w} {}
  int64_t values[3];
};

struct ConvOptions {
  PerAxis stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
};

/// @shape  x [B, Ci, ...] with 1 to 3 axes behind, weight [Co, Ci / groups, ...], bias [Co] or
///         undefined -> [B, Co, ...] (channels-last in memory)
/// @throws ShapeError if channels, groups or sizes do not fit
Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
            const ConvOptions& options = {});

struct ConvTransposeOptions {
  PerAxis stride = 1, padding = 0, output_padding = 0, dilation = 1;
  int64_t groups = 1;
};

/// The adjoint of conv in x. @shape  weight [Ci, Co / groups, ...]
Tensor conv_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                      const ConvTransposeOptions& options = {});

}  // namespace brume
