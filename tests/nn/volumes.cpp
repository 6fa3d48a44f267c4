#include <doctest/doctest.h>

#include <string>

#include <brume/autograd/ops/shape.h>
#include <brume/nn/models/diffusion_unet_3d.h>
#include <brume/nn/models/unet3d.h>
#include <brume/nn/registry.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;

namespace {

nn::DiffusionUNet3DConfig small() {
  return {.x_channels = 2,
          .vol_cond_channels = 1,
          .vec_cond_dim = 3,
          .num_levels = 2,
          .model_channels = 4,
          .channel_mult = {1, 2},
          .num_blocks = 1,
          .attention_levels = {1},
          .dropout = 0};
}

}  // namespace

TEST_CASE("DiffusionUNet3D takes a vector and a volume as conditions, and misses only the volume") {
  const auto net = nn::make<nn::DiffusionUNet3D>(small());
  const Tensor x = noise({2, 2, 4, 2, 6}), t = noise({2}, 2), vector = noise({2, 3}, 3),
               volume = noise({2, 1, 4, 2, 6}, 4);
  const Tensor y = net(x, t, vector, volume);
  CHECK(y.shape() == x.shape());
  CHECK(distance(y, net(x, t, Tensor(), volume)) > 0);
  CHECK(distance(y, net(x, t, vector, 2 * volume)) > 0);
  const auto says = [&](auto... arguments) { return error_of([&] { net(arguments...); }); };
  CHECK(says(x, t, vector) == "DiffusionUNet3D: the volume of 1 channels beside x is missing");
  CHECK(says(x, t, noise({2, 4}), volume) ==
        "DiffusionUNet3D: the vector must be [2, 3], but is [2, 4]");
  CHECK(says(noise({2, 2, 4, 3, 6}), t) ==
        "DiffusionUNet3D: depth, height and width must be multiples of 2 (2 levels), but x is "
        "[2, 2, 4, 3, 6]");
  nn::DiffusionUNet3DConfig bare = small();
  bare.vol_cond_channels = bare.vec_cond_dim = 0;
  const auto alone = nn::make<nn::DiffusionUNet3D>(bare);
  CHECK(error_of([&] { alone(x, t, vector); }).find("vec_cond_dim") != std::string::npos);
  CHECK(error_of([&] { alone(x, t, Tensor(), volume); }).find("vol_cond_channels is 0") !=
        std::string::npos);
  bare.attention_levels = {2};
  CHECK(error_of([&] { nn::make<nn::DiffusionUNet3D>(bare); }) ==
        "DiffusionUNet3D: attention_levels must be below 2, got 2");
}

TEST_CASE("a volume's sample keeps its bits beside others") {
  const auto net = nn::make<nn::DiffusionUNet3D>({.x_channels = 1,
                                                  .num_levels = 2,
                                                  .model_channels = 4,
                                                  .channel_mult = {1, 2},
                                                  .num_blocks = 1,
                                                  .encoder_type = nn::EncoderType::residual,
                                                  .decoder_type = nn::DecoderType::skip,
                                                  .resample_filter = {1, 3, 3, 1},
                                                  .activation = nn::UNetActivation::gelu});
  net->eval();
  const Tensor x = noise({3, 1, 4, 4, 4}), t = noise({3}, 2);
  CHECK(distance(slice(net(x, t), 0, 1, 2), net(slice(x, 0, 1, 2), slice(t, 0, 1, 2))) == 0);
}

TEST_CASE("UNet3D pads by its mode and norms by its arguments") {
  const nn::UNet3DConfig zeros_outside{
      .in_channels = 1,
      .out_channels = 1,
      .model_depth = 1,
      .feature_map_channels = {4, 4},
      .normalization_args = nn::GroupNormArguments{.num_groups = 2}};
  nn::UNet3DConfig ring = zeros_outside;
  ring.padding_mode = nn::PaddingMode::circular;
  const auto net = nn::make<nn::UNet3D>(ring);
  const Tensor x = noise({1, 1, 4, 4, 4});
  // On a ring nothing but the place changes.
  CHECK(distance(net(roll(x, 1, 3)), roll(net(x), 1, 3)) < 1e-5);
  const auto edged = nn::make<nn::UNet3D>(zeros_outside);
  CHECK(distance(edged(roll(x, 1, 3)), roll(edged(x), 1, 3)) > 1e-3);
  ring.normalization_args->num_groups = 3;
  CHECK(error_of([&] { nn::make<nn::UNet3D>(ring); }).find("normalization_args") !=
        std::string::npos);
}

TEST_CASE("a Conv3D halves amplitudes where it doubles the grid, as the reference's does") {
  const nn::Conv2dConfig up{.in_channels = 1, .out_channels = 1, .kernel = 0, .up = true};
  CHECK(distance(nn::make<nn::Conv3D>(up)(ones({1, 1, 2, 2, 2})), full({1, 1, 4, 4, 4}, 0.5)) == 0);
}
