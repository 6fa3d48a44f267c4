#pragma once

#include <vector>

#include <brume/autograd/ops/resample.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct ConvNdConfig {
  int64_t dimension = 2;  // 1 to 3
  int64_t in_channels = 0, out_channels = 0;
  OneOrMany<int64_t> kernel = 1;
  int64_t stride = 1, padding = 0;
  bool bias = true;
  PadMode padding_mode = PadMode::constant;  // what stands outside: zeros
};

/// The plain convolution with PyTorch's initial values.
/// @shape x [B, in_channels, ...] -> [B, out_channels, ...]
class ConvNd : public Module {
 public:
  using Config = ConvNdConfig;
  explicit ConvNd(const Config& c);
  /// With `residual`, of the result's shape, added in the same pass.
  Tensor operator()(const Tensor& x, const Tensor& residual = {}) const;

  Tensor weight, bias;  // [out, in, kernel...], [out] or undefined

 private:
  int64_t stride_, padding_;
  PadMode padding_mode_;
};

struct ConvTransposeNdConfig {
  int64_t dimension = 2;
  int64_t in_channels = 0, out_channels = 0;
  int64_t kernel = 1, stride = 1, padding = 0, output_padding = 0;
  bool bias = true;
};

/// The plain transposed convolution with PyTorch's initial values.
class ConvTransposeNd : public Module {
 public:
  using Config = ConvTransposeNdConfig;
  explicit ConvTransposeNd(const Config& c);
  Tensor operator()(const Tensor& x) const;

  Tensor weight, bias;  // [in, out, kernel...], [out] or undefined

 private:
  int64_t stride_, padding_, output_padding_;
};

}  // namespace brume::nn
