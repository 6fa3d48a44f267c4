#pragma once

#include <brume/nn/module.h>

namespace brume::nn {

struct Conv2dConfig {
  int64_t in_channels = 0, out_channels = 0;
  int64_t kernel = 0;  // 0: resampling only
  bool bias = true;
  bool up = false, down = false;
  std::vector<double> resample_filter = {1, 1};
  bool fused_resample = false;
  InitMode init_mode = InitMode::kaiming_normal;
  double init_weight = 1, init_bias = 0;
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("kernel", kernel, required);
    v("bias", bias);
    v("up", up);
    v("down", down);
    v("resample_filter", resample_filter);
    v("fused_resample", fused_resample);
    v("init_mode", init_mode);
    v("init_weight", init_weight);
    v("init_bias", init_bias);
    v.ignored(ignored, {"fused_conv_bias", "amp_mode"});
  }
};

/// Convolution of stride 1 with zero padding kernel / 2, behind an optional resampling by 2 with a
/// separable filter; over images (Conv2d) or volumes (Conv3D). `fused_resample` moves the padding
/// of both into one place: other numbers at the borders.
/// @source Karras et al. 2022, arXiv:2206.00364, appendix C
class ResamplingConv : public Module {
 public:
  /// Terms that join in the same pass where the convolution comes last:
  /// (conv(x) + per_sample + residual) * scale.
  struct Terms {
    Tensor per_sample{};  // [B or 1, out_channels] or undefined
    Tensor residual{};    // the result's shape, or undefined
    double scale = 1;
  };
  Tensor operator()(const Tensor& x) const { return (*this)(x, {}); }
  Tensor operator()(const Tensor& x, const Terms& terms) const;

  Tensor weight, bias;     // [out, in, kernel, kernel...], [out]; undefined for kernel 0
  Tensor resample_filter;  // [1, 1, K, K...] with sum 1; undefined without up or down

 protected:
  ResamplingConv(Conv2dConfig c, int axes);

 private:
  Tensor convolve(const Tensor& x, int64_t padding, const Terms& terms) const;
  Tensor filter_down(const Tensor& x, int64_t padding) const;
  Tensor filter_up(const Tensor& x, int64_t padding) const;

  Conv2dConfig config_;
  int axes_;
  bool is_box_ = false;  // the filter is [1, 1] on images: averages of 2 x 2 and repetition
};

/// @shape  x [B, in_channels, H, W] -> [B, out_channels, H', W'] with H' = H, 2 H (up) or
///         H / 2 (down), channels-last in memory
class Conv2d : public ResamplingConv {
 public:
  using Config = Conv2dConfig;
  explicit Conv2d(Config c) : ResamplingConv(std::move(c), 2) {}
};

/// Without the choice that Conv2d leaves: the resampling is always fused.
struct Conv3DConfig : Conv2dConfig {
  Conv3DConfig(Conv2dConfig c = {}) : Conv2dConfig(std::move(c)) { fused_resample = true; }

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("kernel", kernel, required);
    v("bias", bias);
    v("up", up);
    v("down", down);
    v("resample_filter", resample_filter);
    v("init_mode", init_mode);
    v("init_weight", init_weight);
    v("init_bias", init_bias);
  }
};

/// The same for volumes. As in the reference the filter of `up` is multiplied by 4, not by 8, so
/// that amplitudes are halved.
/// @shape  x [B, in_channels, D, H, W] -> [B, out_channels, D', H', W']
class Conv3D : public ResamplingConv {
 public:
  using Config = Conv3DConfig;
  explicit Conv3D(Config c) : ResamplingConv(std::move(c), 3) {}
};

}  // namespace brume::nn
