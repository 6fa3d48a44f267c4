// Whole training steps (gradients forgotten, loss, backward, Adam) and 18-step Heun sampling runs.

#include <memory>

#include <brume/autograd/backward.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/random.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/nn/models/dit.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/models/mesh_graph_net.h>
#include <brume/nn/optim/adam.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

// Rows count multiply-adds of convolutions, products and attention as two each; a training step
// has them three times, since backward costs twice its forward.

// What a diffusion row keeps between steps.
struct Denoising {
  nn::Ref<nn::Module> net;
  diffusion::AnyModel model;
  diffusion::EDMNoiseScheduler scheduler{};
  diffusion::MSEDSMLoss loss{model, scheduler};
  nn::Adam optimizer{net->parameters(), {.lr = 1e-4}};
  Generator rng{0};
  Tensor x0;

  void step() {
    optimizer.zero_grad();
    backward(loss(x0, rng));
    optimizer.step();
  }
  void sample() {
    const NoGrad no_grad;
    net->train(false);
    diffusion::NoiseSource noise(rng);
    const Tensor start = scheduler.init_latents(
        x0.shape(), full({x0.size(0)}, diffusion::EDMNoiseSchedulerConfig{}.sigma_max), noise,
        {.layout = Layout::channels_last});
    const auto denoiser = diffusion::denoiser(scheduler, {.x0 = bind(model)});
    (void)diffusion::sample(denoiser, start, scheduler, {.num_steps = 18});
    net->train(true);
  }
};

// Multiply-adds of a U-Net per image of a forward pass. A kernel meets each pixel of its level,
// whose height is the first number in its key; attention multiplies tokens with tokens twice.
int64_t unet_products(const nn::Module& net) {
  int64_t products = 0;
  for (const auto& [key, weight] : net.parameters()) {
    if (weight.rank() == 2) products += weight.numel();
    if (weight.rank() != 4) continue;
    const int64_t height = std::stoll(key.substr(key.find_first_of("0123456789")));
    const int64_t pixels = height * height;
    products += weight.numel() * pixels;
    if (key.ends_with("qkv.weight")) products += 2 * pixels * pixels * weight.size(1);
  }
  return products;
}

Row unet(int64_t model_channels, int64_t batch) {
  return {cat("unet", model_channels, "_b", batch), [=] {
            const auto net = nn::make<diffusion::SongUNetAdapter>({.img_resolution = 32,
                                                                   .in_channels = 3,
                                                                   .out_channels = 3,
                                                                   .model_channels = model_channels,
                                                                   .channel_mult = {1, 2, 2},
                                                                   .num_blocks = 2,
                                                                   .attn_resolutions = {16},
                                                                   .dropout = 0});
            const auto d = std::shared_ptr<Denoising>(
                new Denoising{.net = net,
                              .model = nn::make<diffusion::EDMPreconditioner>({.model = net}),
                              .x0 = values({batch, 3, 32, 32}, Layout::channels_last)});
            return Work{.step = [=] { d->step(); },
                        .step_flops = 6.0 * static_cast<double>(batch * unet_products(*net)),
                        .sample = [=] { d->sample(); },
                        .params = net->parameter_count()};
          }};
}

// A DiT on 32 x 32 images, as the reference's defaults have it but for these.
Row dit(int64_t hidden, int64_t depth, int64_t patch, int64_t batch) {
  return {cat("dit_h", hidden, "_d", depth, "_p", patch, "_b", batch), [=] {
            const auto net = nn::make<nn::DiT>({.input_size = 32,
                                                .in_channels = 3,
                                                .patch_size = patch,
                                                .hidden_size = hidden,
                                                .depth = depth,
                                                .num_heads = hidden / 64});
            const auto d = std::shared_ptr<Denoising>(
                new Denoising{.net = net,
                              .model = nn::make<diffusion::EDMPreconditioner>({.model = net}),
                              .x0 = values({batch, 3, 32, 32})});
            const int64_t tokens = (32 / patch) * (32 / patch);
            const int64_t products = depth * (12 * hidden * hidden + 2 * tokens * hidden) +
                                     2 * 3 * patch * patch * hidden;
            return Work{.step = [=] { d->step(); },
                        .step_flops = 6.0 * static_cast<double>(batch * tokens * products),
                        .sample = [=] { d->sample(); },
                        .params = net->parameter_count()};
          }};
}

// Steps of a regression: `predict` from the net, `products` multiply-adds in it.
template <class Net, class F>
Work regression(const nn::Ref<Net>& net, F predict, const Tensor& y, int64_t products,
                int repeat = 1) {
  const auto adam = std::make_shared<nn::Adam>(net->parameters(), nn::AdamOptions{.lr = 1e-4});
  return {.step =
              [=] {
                for (int i = 0; i < repeat; ++i) {
                  adam->zero_grad();
                  backward(mse_loss(predict(*net), y));
                  adam->step();
                }
              },
          .step_flops = 6.0 * repeat * static_cast<double>(products),
          .params = net->parameter_count()};
}

Row fully_connected(const std::string& name, const nn::FullyConnectedConfig& config, int64_t batch,
                    int repeat) {
  return {name, [=] {
            const Tensor x = values({batch, config.in_features});
            const int64_t products =
                config.layer_size * (config.in_features + config.out_features +
                                     (config.num_layers - 1) * config.layer_size);
            return regression(
                nn::make<nn::FullyConnected>(config),
                [x](const nn::FullyConnected& net) { return net(x); },
                values({batch, config.out_features}), batch * products, repeat);
          }};
}

// The transforms are not counted.
Row fno(int64_t size, int64_t batch) {
  return {cat("fno", size, "_b", batch), [=] {
            constexpr int64_t kWidth = 32, kLayers = 4, kModes = 12, kPadding = 8;
            const Tensor x = values({batch, 1, size, size});
            const int64_t padded = (size + kPadding) * (size + kPadding);
            const int64_t products =
                kLayers * kWidth * kWidth * (padded + 4 * 2 * kModes * kModes) +
                size * size * (kWidth * kWidth + 3 * kWidth / 2 + kWidth * kWidth / 2 + kWidth);
            return regression(
                nn::make<nn::FNO>({.in_channels = 1,
                                   .out_channels = 1,
                                   .latent_channels = kWidth,
                                   .num_fno_layers = kLayers,
                                   .num_fno_modes = kModes,
                                   .padding = kPadding}),
                [x](const nn::FNO& net) { return net(x); }, values({batch, 1, size, size}),
                batch * products);
          }};
}

Row mesh_graph_net() {
  return {"mgn", [] {
            constexpr int64_t kNodes = 2000, kEdges = 6000, kWidth = 128, kLayers = 15;
            Generator rng(0);
            const nn::Graph graph(random_integers({2, kEdges}, 0, kNodes, rng), kNodes);
            const Tensor nodes = values({kNodes, 16}), edges = values({kEdges, 8});
            // First layers of edge updates are computed per node and per edge.
            const int64_t products = kWidth * kWidth * kLayers * (3 * kEdges + (2 + 4) * kNodes) +
                                     2 * kWidth * kWidth * (kEdges + 2 * kNodes);
            return regression(
                nn::make<nn::MeshGraphNet>(
                    {.input_dim_nodes = 16, .input_dim_edges = 8, .output_dim = 3}),
                [=](const nn::MeshGraphNet& net) { return net(nodes, edges, graph); },
                values({kNodes, 3}), products);
          }};
}

}  // namespace

void add_model_rows(Rows& rows) {
  for (const int64_t width : {32, 64})
    for (const int64_t batch : {16, 1}) rows.push_back(unet(width, batch));
  rows.push_back(dit(192, 6, 4, 16));
  rows.push_back(dit(192, 6, 2, 16));
  rows.push_back(dit(384, 12, 4, 16));
  rows.push_back(fno(64, 16));
  rows.push_back(fno(256, 4));
  rows.push_back(mesh_graph_net());
  rows.push_back(fully_connected(
      "fc", {.in_features = 64, .layer_size = 512, .out_features = 64, .num_layers = 6}, 4096, 1));
  // 1000 steps: milliseconds read as microseconds per step.
  rows.push_back(fully_connected(
      "tiny_x1000", {.in_features = 2, .layer_size = 64, .out_features = 2, .num_layers = 2}, 64,
      1000));
}

}  // namespace brume::bench
