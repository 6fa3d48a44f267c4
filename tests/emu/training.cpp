// Models train on the emulated device as they do on the CPU, step by step. Device memory is closed
// to the host meanwhile, so that whatever looks into it by mistake ends the test.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/random.h>
#include <brume/cuda/emu/control.h>
#include <brume/nn/models/dit.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/models/song_unet.h>
#include <brume/nn/optim/sgd.h>

#include "tests/noise.h"

using namespace brume;

namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

struct Protected {
  Protected() : before(cuda::emu::is_protecting()) { cuda::emu::set_protecting(true); }
  ~Protected() { cuda::emu::set_protecting(before); }
  bool before;
};

struct Trained {
  std::vector<double> losses;
  std::vector<Tensor> parameters;  // after the first step, on the CPU
};

/// Two steps on a device; call(model, x) gives the model what else it takes.
template <class Make, class Call>
Trained train(Device device, Make make, const Shape& shape, Call call) {
  Generator weights(3);
  const nn::Construction from(weights);
  const auto model = make();
  model->to(device);
  nn::Sgd optimizer(model->parameters(), {.lr = 0.05, .momentum = 0.9});
  Trained out;
  for (uint64_t step = 0; step < 2; ++step) {
    const Tensor x = transfer(noise(shape, 10 + step), device);
    const Tensor y = call(*model, x);
    const Tensor loss = mse_loss(y, transfer(noise(y.shape(), 20 + step), device));
    optimizer.zero_grad();
    backward(loss);
    optimizer.step({.clip_norm = 1});
    out.losses.push_back(loss.item());
    if (step > 0) continue;  // layers that start near zero magnify rounding from here on
    for (const nn::NamedTensor& p : model->parameters())
      out.parameters.push_back(from_vector(p.tensor.to_vector<float>(), p.tensor.shape()));
  }
  return out;
}

template <class Make, class Call>
void check_model(Make make, const Shape& shape, Call call) {
  const Trained want = train(kCpu, make, shape, call);
  const Protected closed;
  const Trained got = train(kCuda, make, shape, call);
  for (size_t i = 0; i < want.losses.size(); ++i)
    CHECK(got.losses[i] == doctest::Approx(want.losses[i]).epsilon(1e-5));
  for (size_t i = 0; i < want.parameters.size(); ++i)
    CHECK(distance(got.parameters[i], want.parameters[i]) < 1e-6);
}

Tensor levels(const Tensor& x) { return full({x.size(0)}, 0.3, {.device = x.device()}); }

TEST_CASE("an MLP trains on the device as on the CPU") {
  check_model(
      [] {
        return nn::make<nn::FullyConnected>(
            {.in_features = 4, .layer_size = 16, .out_features = 2, .num_layers = 2});
      },
      {5, 4}, [](const auto& net, const Tensor& x) { return net(x); });
}

TEST_CASE("SongUNet trains on the device as on the CPU") {
  check_model(
      [] {
        return nn::make<nn::SongUNet>({.img_resolution = 8,
                                       .in_channels = 2,
                                       .out_channels = 2,
                                       .model_channels = 8,
                                       .channel_mult = {1, 2},
                                       .channel_mult_emb = 2,
                                       .num_blocks = 1,
                                       .attn_resolutions = {4},
                                       .dropout = 0.1});
      },
      {2, 2, 8, 8}, [](const auto& net, const Tensor& x) { return net(x, levels(x)); });
}

TEST_CASE("DiT trains on the device as on the CPU") {
  check_model(
      [] {
        return nn::make<nn::DiT>({.input_size = 8,
                                  .in_channels = 2,
                                  .patch_size = 4,
                                  .hidden_size = 16,
                                  .depth = 1,
                                  .num_heads = 2,
                                  .mlp_ratio = 2,
                                  .dit_initialization = false});
      },
      {2, 2, 8, 8}, [](const auto& net, const Tensor& x) { return net(x, levels(x)); });
}

TEST_CASE("an FNO trains on the device as on the CPU") {
  check_model(
      [] {
        return nn::make<nn::FNO>({.in_channels = 1,
                                  .out_channels = 1,
                                  .decoder_layer_size = 8,
                                  .latent_channels = 4,
                                  .num_fno_layers = 2,
                                  .num_fno_modes = 3,
                                  .padding = 2});
      },
      {2, 1, 8, 8}, [](const auto& net, const Tensor& x) { return net(x); });
}

}  // namespace
