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
    v.ignored({"fused_conv_bias", "amp_mode"});
  }
};

/// Convolution of stride 1 with zero padding kernel / 2, behind an optional resampling by 2 with a
/// separable filter. `fused_resample` moves the padding of both into one place: other numbers at
/// the borders.
/// @shape  x [B, in_channels, H, W] -> [B, out_channels, H', W'] with H' = H, 2 H (up) or
///         H / 2 (down), channels-last in memory
/// @source Karras et al. 2022, arXiv:2206.00364, appendix C
class Conv2d : public Module {
 public:
  using Config = Conv2dConfig;
  explicit Conv2d(Config c);

  /// Terms that join in the same pass where the convolution comes last:
  /// (conv2d(x) + per_sample + residual) * scale.
  struct Terms {
    Tensor per_sample{};  // [B or 1, out_channels] or undefined
    Tensor residual{};    // the result's shape, or undefined
    double scale = 1;
  };
  Tensor operator()(const Tensor& x) const { return (*this)(x, {}); }
  Tensor operator()(const Tensor& x, const Terms& terms) const;

  Tensor weight, bias;     // [out, in, kernel, kernel], [out]; undefined for kernel 0
  Tensor resample_filter;  // [1, 1, K, K] with sum 1; undefined without up or down

 private:
  Tensor convolve(const Tensor& x, int64_t padding, const Terms& terms) const;
  Tensor filter_down(const Tensor& x, int64_t padding) const;
  Tensor filter_up(const Tensor& x, int64_t padding) const;

  Config config_;
  bool is_box_ = false;  // the filter is [1, 1]: averages of 2 x 2 and repetition
};

}  // namespace brume::nn
