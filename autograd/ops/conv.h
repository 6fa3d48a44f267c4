#pragma once
// Convolutions in one, two and three dimensions (cross-correlations, as everywhere in this field).

#include <optional>

#include <brume/core/kernels/conv.h>
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
  std::optional<ConvAlgorithm> algorithm{};  // unset: default_conv_algorithm()
  // Terms that cost no pass of their own: (conv(x) + bias + per_sample + residual) * scale.
  Tensor per_sample{};  // [B, Co] or undefined
  Tensor residual{};    // the result's shape, or undefined
  double scale = 1;
};

/// Of this process, where none is named; winograd_f2 at the start.
ConvAlgorithm default_conv_algorithm();
void set_default_conv_algorithm(ConvAlgorithm algorithm);

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
