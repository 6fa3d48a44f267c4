#include <brume/nn/layers/conv2d.h>

#include <algorithm>
#include <cmath>

#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/layers/resample.h>

namespace brume::nn {
namespace {

const char* conv_name(int axes) { return axes == 2 ? "Conv2d" : "Conv3D"; }

// The outer product of the filter with itself, divided by its sum: [1, 1, K, K...].
Tensor outer_filter(const std::vector<double>& taps, int axes) {
  const auto k = static_cast<int64_t>(taps.size());
  double sum = 0;
  for (const double tap : taps) sum += tap;
  check(k > 0 && k <= 64 && sum != 0 && std::isfinite(sum), conv_name(axes),
        ": resample_filter needs 1 to 64 taps and a sum other than 0");
  std::vector<double> filter = {1};
  Shape shape{1, 1};
  for (int a = 0; a < axes; ++a) {
    std::vector<double> longer;
    for (const double f : filter)
      for (const double tap : taps) longer.push_back(f * tap / sum);
    filter = std::move(longer);
    shape.push_back(k);
  }
  return from_vector(std::vector<float>(filter.begin(), filter.end()), shape);
}

// The same filter for each of `channels`.
Tensor per_channel(const Tensor& filter, int64_t channels) {
  Shape shape = filter.shape();
  shape[0] = channels;
  return expand(filter, shape);
}

// One row of terms for each sample.
Tensor per_sample(const Tensor& terms, int64_t batch) {
  return terms.defined() ? expand(terms, {batch, -1}) : terms;
}

// What convolve() does in its own pass, where something else comes last.
Tensor join(Tensor y, const ResamplingConv::Terms& terms) {
  if (terms.per_sample.defined()) {
    Shape shape = Shape::filled(y.rank(), 1);
    shape[0] = terms.per_sample.size(0);
    shape[1] = terms.per_sample.size(1);
    y = y + reshape(terms.per_sample, shape);
  }
  if (terms.residual.defined()) return skip_add_scale(std::move(y), terms.residual, terms.scale);
  return terms.scale == 1 ? y : std::move(y) * terms.scale;
}

}  // namespace

ResamplingConv::ResamplingConv(Conv2dConfig c, int axes) : config_(std::move(c)), axes_(axes) {
  const Conv2dConfig& k = config_;
  constexpr int64_t kLargestKernel = 1023;  // of three axes, times kLargestSize: below 2^63
  check(k.in_channels > 0 && k.out_channels > 0, conv_name(axes),
        ": in_channels and out_channels must be positive, got ", k.in_channels, " and ",
        k.out_channels);
  check(k.kernel >= 0 && k.kernel <= kLargestKernel, conv_name(axes), ": kernel must lie in 0 to ",
        kLargestKernel, ", got ", k.kernel);
  check(!(k.up && k.down), conv_name(axes), ": up and down exclude each other");
  const auto init = [&](double gain) {
    const int64_t taps = k.kernel * k.kernel * (axes == 3 ? k.kernel : 1);
    return Init::fan(k.init_mode, k.in_channels * taps, k.out_channels * taps, gain);
  };
  if (k.kernel > 0) {
    Shape shape{k.out_channels, k.in_channels};
    for (int a = 0; a < axes; ++a) shape.push_back(k.kernel);
    weight = param("weight", shape, init(k.init_weight));
    if (k.bias) bias = param("bias", {k.out_channels}, init(k.init_bias));
  }
  if (k.up || k.down) {
    check(!k.up || k.resample_filter.size() % 2 == 0, conv_name(axes),
          ": up doubles each axis, which wants a resample_filter of an even number of taps, got ",
          k.resample_filter.size());
    resample_filter = buffer("resample_filter", outer_filter(k.resample_filter, axes), fixed);
    is_box_ =
        axes == 2 && k.resample_filter.size() == 2 && k.resample_filter[0] == k.resample_filter[1];
  }
}

Tensor ResamplingConv::operator()(const Tensor& x, const Terms& terms) const {
  check(x.rank() == 2 + axes_ && x.size(1) == config_.in_channels, conv_name(axes_), ": wants [B, ",
        config_.in_channels, axes_ == 2 ? ", H, W], got " : ", D, H, W], got ", x.shape());
  const int64_t w_pad = config_.kernel / 2;
  const int64_t f_pad = (static_cast<int64_t>(config_.resample_filter.size()) - 1) / 2;
  const bool fused = config_.fused_resample && config_.kernel > 0;
  if (config_.down) {
    // The filter's sum is 1, so the bias may pass through it.
    if (fused) return join(filter_down(convolve(x, w_pad + f_pad, {}), 0), terms);
    return convolve(filter_down(x, f_pad), w_pad, terms);
  }
  if (config_.up) {
    if (fused)
      return convolve(filter_up(x, std::max<int64_t>(f_pad - w_pad, 0)),
                      std::max<int64_t>(w_pad - f_pad, 0), terms);
    // Repeating pixels and mixing their channels commute: a quarter of the work.
    if (is_box_ && config_.kernel == 1) return join(repeat_2x2(convolve(x, 0, {})), terms);
    return convolve(filter_up(x, f_pad), w_pad, terms);
  }
  return convolve(x, w_pad, terms);
}

Tensor ResamplingConv::convolve(const Tensor& x, int64_t padding, const Terms& terms) const {
  if (config_.kernel == 0) return join(x, terms);
  return conv(x, as_dtype(weight, x), as_dtype(bias, x),
              {.padding = padding,
               .per_sample = per_sample(terms.per_sample, x.size(0)),
               .residual = terms.residual,
               .scale = terms.scale});
}

Tensor ResamplingConv::filter_down(const Tensor& x, int64_t padding) const {
  if (is_box_) return average_2x2(x);
  const int64_t channels = x.size(1);
  return conv(x, per_channel(as_dtype(resample_filter, x), channels), {},
              {.stride = 2, .padding = padding, .groups = channels});
}

Tensor ResamplingConv::filter_up(const Tensor& x, int64_t padding) const {
  if (is_box_) return repeat_2x2(x);
  const int64_t channels = x.size(1);
  return conv_transpose(x, per_channel(4 * as_dtype(resample_filter, x), channels), {},
                        {.stride = 2, .padding = padding, .groups = channels});
}

}  // namespace brume::nn
