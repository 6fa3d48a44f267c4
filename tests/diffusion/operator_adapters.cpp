#include <doctest/doctest.h>

#include <string>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/backbones.h>
#include <brume/diffusion/operator_adapters.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/nn/serialize.h>

#include "tests/noise.h"
#include "tests/temporary_folder.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

// Preconditioned, saved, loaded by name and called again: the same bits, of x's shape.
void check_model(const nn::Ref<nn::Module>& model, const Tensor& x, const Condition& condition) {
  const auto denoiser = nn::make<EDMPreconditioner>({.model = model});
  denoiser->eval();
  const Tensor t = uniform({x.size(0)}, default_generator()) + 0.5;
  const Tensor y = denoiser(x, t, condition);
  CHECK(y.shape() == x.shape());
  const test::TemporaryFile file("adapter.safetensors");
  nn::save(*denoiser, file.path);
  const AnyModel again(load(file.path));
  again.module()->eval();
  CHECK(max(abs(again(x, t, condition) - y)).item() == 0);
}

}  // namespace

TEST_CASE("networks of one tensor take t and a condition as further channels") {
  check_model(
      nn::make<FullyConnectedAdapter>(
          {.net = {.in_features = 2 + 4 + 3, .layer_size = 8, .out_features = 2, .num_layers = 2},
           .time_channels = 4}),
      noise({5, 2}), noise({5, 3}, 2));
  check_model(nn::make<FNOAdapter>({.net = {.in_channels = 1 + 4 + 2 + 1,
                                            .out_channels = 1,
                                            .latent_channels = 4,
                                            .num_fno_layers = 1,
                                            .num_fno_modes = 2,
                                            .padding = 0},
                                    .time_channels = 4}),
              noise({2, 1, 6, 6}),
              {{"image", noise({2, 2, 6, 6}, 2)}, {"vector", noise({2, 1}, 3)}});
  check_model(nn::make<UNet3DAdapter>({.net = {.in_channels = 1 + 4,
                                               .out_channels = 1,
                                               .model_depth = 2,
                                               .feature_map_channels = {2, 2, 4, 4}},
                                       .time_channels = 4}),
              noise({2, 1, 4, 4, 4}), {});
  check_model(nn::make<Pix2PixAdapter>({.net = {.in_channels = 1 + 4,
                                                .out_channels = 1,
                                                .dimension = 2,
                                                .conv_layer_size = 2,
                                                .n_downsampling = 1,
                                                .n_upsampling = 1,
                                                .n_blocks = 1},
                                        .time_channels = 4}),
              noise({2, 1, 8, 8}), {});
  check_model(nn::make<AFNOAdapter>({.net = {.inp_shape = {4, 4},
                                             .in_channels = 1 + 4,
                                             .out_channels = 1,
                                             .patch_size = {2, 2},
                                             .embed_dim = 4,
                                             .depth = 1,
                                             .num_blocks = 2},
                                     .time_channels = 4}),
              noise({2, 1, 4, 4}), {});
}

TEST_CASE("a network whose inputs leave no room for the time is refused") {
  CHECK_THROWS_WITH_AS(
      nn::make<FullyConnectedAdapter>({.net = {.in_features = 2, .out_features = 2}}),
      doctest::Contains("the condition's and 16 of t (time_channels), got 2 in all"), ShapeError);
}

TEST_CASE("a mesh is part of its model's file, and samples do not see one another") {
  const auto model = nn::make<MeshGraphNetAdapter>({.net = {.input_dim_nodes = 1 + 4 + 1,
                                                            .input_dim_edges = 1,
                                                            .output_dim = 1,
                                                            .processor_size = 2,
                                                            .hidden_dim_processor = 4,
                                                            .hidden_dim_node_encoder = 4,
                                                            .hidden_dim_edge_encoder = 4,
                                                            .hidden_dim_node_decoder = 4},
                                                    .time_channels = 4,
                                                    .num_nodes = 3,
                                                    .num_edges = 4});
  CHECK_THROWS_WITH_AS(model(noise({2, 3, 1}), ones({2}), noise({2, 3, 1}, 2)),
                       doctest::Contains("has no mesh"), Error);
  model->set_mesh(from_vector<int64_t>({0, 1, 1, 2, 1, 0, 2, 1}, {2, 4}), noise({4, 1}));
  const Tensor x = noise({2, 3, 1}), condition = noise({2, 3, 1}, 2);
  check_model(model, x, condition);
  const Tensor t = ones({2});
  const Tensor both = model(x, t, condition);
  const Tensor first = model(slice(x, 0, 0, 1), ones({1}), slice(condition, 0, 0, 1));
  CHECK(max(abs(slice(both, 0, 0, 1) - first)).item() == 0);
}

TEST_CASE("a Transolver takes t as its time and the points' places as its condition") {
  check_model(nn::make<TransolverAdapter>({.functional_dim = 1,
                                           .out_dim = 1,
                                           .embedding_dim = 2,
                                           .n_layers = 1,
                                           .n_hidden = 8,
                                           .n_head = 2,
                                           .slice_num = 3,
                                           .time_input = true}),
              noise({2, 5, 1}), noise({2, 5, 2}, 2));
}

TEST_CASE("a DiT is a model as it is") {
  check_model(nn::make<nn::DiT>({.input_size = 4,
                                 .in_channels = 1,
                                 .patch_size = 2,
                                 .hidden_size = 8,
                                 .depth = 1,
                                 .num_heads = 2,
                                 .condition_dim = 3}),
              noise({2, 1, 4, 4}), noise({2, 3}, 2));
}

TEST_CASE("a DiT behind (x, t, condition) takes what its calls may say") {
  nn::DiTConfig c{.input_size = 4, .in_channels = 1, .patch_size = 2, .hidden_size = 8};
  c.depth = 1, c.num_heads = 2, c.condition_dim = 3, c.dit_initialization = false;
  const auto net = nn::make<nn::DiT>(c);
  const AnyModel model(net);
  const Tensor x = noise({2, 1, 4, 4}), t = ones({2}), vector = noise({2, 3}, 2);
  const Tensor mask = from_vector<float>({0, -9, -9, -9}, {1, 1, 1, 4});
  const Tensor masked = model(x, t, {{"condition", vector}, {"attn_mask", mask}});
  CHECK(max(abs(masked - (*net)(x, t, vector, {.attn_mask = mask}))).item() == 0);
  CHECK(max(abs(masked - model(x, t, vector))).item() > 0);
  CHECK_THROWS_AS(model(x, t, {{"attn_mas", mask}}), Error);
}

TEST_CASE("a StormCastUNet is a model that needs neither t nor a condition") {
  nn::SongUNetConfig inner{.model_channels = 4, .channel_mult = {1}, .num_blocks = 1};
  const auto net = nn::make<nn::StormCastUNet>(
      {.img_resolution = 8, .img_in_channels = 1, .img_out_channels = 1, .model = inner});
  net->eval();
  const Tensor x = noise({2, 1, 8, 8});
  const AnyModel model(net);
  CHECK(max(abs(model(x, ones({2})) - net(x))).item() == 0);
  CHECK_THROWS_AS(model(x, ones({2}), x), Error);
}
