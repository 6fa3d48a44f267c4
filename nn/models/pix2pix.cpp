#include <brume/nn/models/pix2pix.h>

#include <algorithm>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/resample.h>
#include <brume/nn/layers/batch_norm.h>

namespace brume::nn {

Names names_of(BorderType) {
  static constexpr const char* kNames[] = {"reflect", "replicate", "zero"};
  return kNames;
}

Tensor Pix2Pix::Sequence::operator()(Tensor x) const {
  for (const Step& step : steps) x = step(x);
  return x;
}

Pix2Pix::Pix2Pix(const Config& c) : config_(c) {
  check_range("Pix2Pix", "dimension", c.dimension, 1, 3);
  check_range("Pix2Pix", "n_downsampling", c.n_downsampling, 0, 20);
  check_range("Pix2Pix", "n_upsampling", c.n_upsampling, 0);
  check_range("Pix2Pix", "n_blocks", c.n_blocks, 0);
  check_range("Pix2Pix", "conv_layer_size", c.conv_layer_size, 1, 1 << 20);
  activation_ = make<NamedActivation>({.name = c.activation_fn});
  Sequence& s = model_;
  int64_t width = c.conv_layer_size;
  const auto finish = [&](int64_t channels) {
    add_norm(s, channels);
    add_activation(s);
  };
  add_padding(s, 3, BorderType::reflect);
  add_conv(s, c.in_channels, width, 7, 1, 0);
  finish(width);
  for (int64_t i = 0; i < c.n_downsampling; ++i, width *= 2) {
    add_conv(s, width, 2 * width, 3, 2, 1);
    finish(2 * width);
  }
  for (int64_t i = 0; i < c.n_blocks; ++i) add_residual_block(s, width);
  for (int64_t i = 0; i < c.n_downsampling; ++i, width /= 2) {
    add_up(s, width, width / 2);
    finish(width / 2);
  }
  for (int64_t i = c.n_downsampling; i < c.n_upsampling; ++i) {
    add_up(s, width, width);
    finish(width);
  }
  add_padding(s, 3, BorderType::reflect);
  add_conv(s, width, c.out_channels, 7, 1, 0);
}

void Pix2Pix::add_padding(Sequence& s, int64_t amount, BorderType type) {
  s.next();
  const std::vector<int64_t> amounts(static_cast<size_t>(2 * config_.dimension), amount);
  const PadMode mode = type == BorderType::reflect ? PadMode::reflect : PadMode::replicate;
  s.steps.push_back([amounts, mode](const Tensor& x) { return pad_with(x, amounts, mode); });
}

void Pix2Pix::add_conv(Sequence& s, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                       int64_t padding) {
  s.steps.push_back([layer = child<ConvNd>(s.next(), {.dimension = config_.dimension,
                                                      .in_channels = in,
                                                      .out_channels = out,
                                                      .kernel = kernel,
                                                      .stride = stride,
                                                      .padding = padding})](const Tensor& x) {
    return layer(x);
  });
}

void Pix2Pix::add_up(Sequence& s, int64_t in, int64_t out) {
  s.steps.push_back([layer = child<ConvTransposeNd>(s.next(), {.dimension = config_.dimension,
                                                               .in_channels = in,
                                                               .out_channels = out,
                                                               .kernel = 3,
                                                               .stride = 2,
                                                               .padding = 1,
                                                               .output_padding = 1})](
                        const Tensor& x) { return layer(x); });
}

void Pix2Pix::add_norm(Sequence& s, int64_t channels) {
  if (!config_.batch_norm) return;
  s.steps.push_back([layer = child<BatchNorm>(s.next(), {.num_features = channels})](
                        const Tensor& x) { return layer(x); });
}

void Pix2Pix::add_activation(Sequence& s) {
  s.steps.push_back([layer = child(s.next(), activation_)](const Tensor& x) { return layer(x); });
}

void Pix2Pix::add_residual_block(Sequence& s, int64_t channels) {
  Sequence block{s.next() + ".conv_block."};
  const bool pads = config_.padding_type != BorderType::zero;
  for (const bool first : {true, false}) {
    if (pads) add_padding(block, 1, config_.padding_type);
    add_conv(block, channels, channels, 3, 1, pads ? 0 : 1);
    add_norm(block, channels);
    if (first) add_activation(block);
  }
  s.steps.push_back([block](const Tensor& x) { return x + block(x); });
}

Tensor Pix2Pix::operator()(const Tensor& x) const {
  check(x.rank() == config_.dimension + 2 && x.size(1) == config_.in_channels,
        "Pix2Pix: wants [B, ", config_.in_channels, ", ", config_.dimension, " axes], got ",
        x.shape());
  return model_(x);
}

}  // namespace brume::nn
