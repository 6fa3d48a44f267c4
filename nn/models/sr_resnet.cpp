#include <brume/nn/models/sr_resnet.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/resample.h>

namespace brume::nn {

Tensor SRResNet::Block::operator()(const Tensor& x) const {
  Tensor y = conv(x);
  if (norm) y = norm(y);
  return activation ? activation(std::move(y)) : y;
}

SRResNet::Block SRResNet::block(const std::string& name, int64_t in, int64_t out, int64_t kernel,
                                Behind behind) {
  Block b;
  b.conv = child<ConvNd>(name + ".conv_block.0", {.dimension = 3,
                                                  .in_channels = in,
                                                  .out_channels = out,
                                                  .kernel = kernel,
                                                  .padding = kernel / 2});
  if (behind == Behind::norm || behind == Behind::norm_and_activation)
    b.norm = child<BatchNorm>(name + ".conv_block.1", {.num_features = out});
  if (behind == Behind::activation || behind == Behind::norm_and_activation)
    b.activation = child(name + ".activation_fn", activation_);
  return b;
}

SRResNet::SRResNet(const Config& c) : in_channels_(c.in_channels) {
  check(c.scaling_factor == 2 || c.scaling_factor == 4 || c.scaling_factor == 8,
        "SRResNet: scaling_factor must be 2, 4 or 8, got ", c.scaling_factor);
  const int64_t width = c.conv_layer_size, small = c.small_kernel_size;
  check_range("SRResNet", "conv_layer_size", width, 1, 1 << 20);
  activation_ = make<NamedActivation>({.name = c.activation_fn});
  conv_block1_ =
      block("conv_block1", c.in_channels, width, c.large_kernel_size, Behind::activation);
  for (int64_t i = 0; i < c.n_resid_blocks; ++i) {
    const std::string at = cat("residual_blocks.", i, ".conv_layers.");
    ResidualBlock r;
    r.first = block(at + "0", width, width, small, Behind::norm_and_activation);
    r.second = block(at + "1", width, width, small, Behind::norm);
    residual_blocks_.push_back(std::move(r));
  }
  conv_block2_ = block("conv_block2", width, width, small, Behind::norm);
  int64_t i = 0;
  for (int64_t factor = c.scaling_factor; factor > 1; factor /= 2, ++i) {
    const std::string at = cat("subpixel_convolutional_blocks.", i, ".");
    UpBlock up;
    up.conv = child<ConvNd>(at + "conv", {.dimension = 3,
                                          .in_channels = width,
                                          .out_channels = 8 * width,
                                          .kernel = small,
                                          .padding = small / 2});
    up.prelu = child<NamedActivation>(at + "prelu", {.name = "prelu"});
    up_blocks_.push_back(std::move(up));
  }
  conv_block3_ = block("conv_block3", width, c.out_channels, c.large_kernel_size, Behind::nothing);
}

Tensor SRResNet::operator()(const Tensor& x) const {
  check(x.rank() == 5 && x.size(1) == in_channels_, "SRResNet: wants [B, ", in_channels_,
        ", D, H, W], got ", x.shape());
  const Tensor first = conv_block1_(x);
  Tensor h = first;
  for (const ResidualBlock& r : residual_blocks_) h = h + r.second(r.first(h));
  h = conv_block2_(h) + first;
  for (const UpBlock& up : up_blocks_) h = up.prelu(pixel_shuffle(up.conv(h), 2));
  return conv_block3_(h);
}

}  // namespace brume::nn
