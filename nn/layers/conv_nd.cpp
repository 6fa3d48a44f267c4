#include <brume/nn/layers/conv_nd.h>

#include <brume/autograd/ops/conv.h>

namespace brume::nn {
namespace {

Shape weight_shape(int64_t first, int64_t second, const std::vector<int64_t>& kernel) {
  std::vector<int64_t> sizes{first, second};
  for (const int64_t k : kernel) {
    check(k > 0 && k < (1 << 20), "ConvNd: a kernel's sizes must be positive, got ", k);
    sizes.push_back(k);
  }
  return Shape(sizes);
}

void check_sizes(int64_t dimension, int64_t in, int64_t out) {
  check(dimension >= 1 && dimension <= 3 && in > 0 && out > 0,
        "ConvNd: wants 1 to 3 dimensions and positive channels, got ", dimension, ", ", in, " and ",
        out);
}

}  // namespace

ConvNd::ConvNd(const Config& c)
    : stride_(c.stride), padding_(c.padding), padding_mode_(c.padding_mode) {
  check_sizes(c.dimension, c.in_channels, c.out_channels);
  const Shape shape =
      weight_shape(c.out_channels, c.in_channels,
                   c.kernel.expand(static_cast<size_t>(c.dimension), "ConvNd: kernel"));
  const Init init = Init::fan(InitMode::fan_in_uniform, numel(shape) / c.out_channels, 1);
  weight = param("weight", shape, init);
  if (c.bias) bias = param("bias", {c.out_channels}, init);
}

Tensor ConvNd::operator()(const Tensor& x, const Tensor& residual) const {
  if (padding_mode_ != PadMode::constant && padding_ > 0) {
    const std::vector<int64_t> amounts(static_cast<size_t>(2 * (weight.rank() - 2)), padding_);
    return conv(pad_with(x, amounts, padding_mode_), as_dtype(weight, x), as_dtype(bias, x),
                {.stride = stride_, .residual = residual});
  }
  return conv(x, as_dtype(weight, x), as_dtype(bias, x),
              {.stride = stride_, .padding = padding_, .residual = residual});
}

ConvTransposeNd::ConvTransposeNd(const Config& c)
    : stride_(c.stride), padding_(c.padding), output_padding_(c.output_padding) {
  check_sizes(c.dimension, c.in_channels, c.out_channels);
  const Shape shape =
      weight_shape(c.in_channels, c.out_channels,
                   std::vector<int64_t>(static_cast<size_t>(c.dimension), c.kernel));
  const Init init = Init::fan(InitMode::fan_in_uniform, numel(shape) / c.in_channels, 1);
  weight = param("weight", shape, init);
  if (c.bias) bias = param("bias", {c.out_channels}, init);
}

Tensor ConvTransposeNd::operator()(const Tensor& x) const {
  return conv_transpose(
      x, as_dtype(weight, x), as_dtype(bias, x),
      {.stride = stride_, .padding = padding_, .output_padding = output_padding_});
}

}  // namespace brume::nn
