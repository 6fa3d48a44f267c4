#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/models/song_unet.h>
#include <brume/nn/models/song_unet_pos_embd.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;

namespace {

using Keys = std::vector<std::string>;

// Keys of a block with the given parts, in order.
Keys block_keys(const std::string& at, bool resampled, bool skip, bool attention) {
  Keys out;
  const auto add = [&](const std::string& layer, bool filter = false) {
    for (const char* part : {"weight", "bias"}) out.push_back(at + layer + "." + part);
    if (filter) out.push_back(at + layer + ".resample_filter");
  };
  add("norm0");
  add("conv0", resampled);
  add("affine");
  add("norm1");
  add("conv1");
  if (skip) add("skip", resampled);
  if (attention)
    for (const char* layer : {"attn.norm", "attn.qkv", "attn.proj"}) add(layer);
  return out;
}

nn::SongUNetConfig small() {
  return {.img_resolution = 8,
          .in_channels = 2,
          .out_channels = 3,
          .model_channels = 8,
          .channel_mult = {1, 2},
          .channel_mult_emb = 2,
          .num_blocks = 1,
          .attn_resolutions = {4},
          .dropout = 0};
}

// Layers that start near zero get ordinary numbers, so that every part of a network matters.
nn::Ref<nn::SongUNet> make_random(const nn::SongUNetConfig& config) {
  Generator rng(11);
  const nn::Construction from(rng);
  auto net = nn::make<nn::SongUNet>(config);
  const NoGrad no_grad;
  for (const nn::NamedTensor& p : net->parameters())
    if (p.name.find("conv1.weight") != p.name.npos || p.name.find("proj.weight") != p.name.npos ||
        p.name.find("aux_conv.weight") != p.name.npos)
      nn::initialise(p.tensor, nn::Init::normal(0.2), rng);
  return net;
}

std::vector<Tensor> parameter_gradients(const nn::SongUNet& net) {
  std::vector<Tensor> out;
  for (const nn::NamedTensor& p : net.parameters()) out.push_back(grad_of(p.tensor));
  return out;
}

}  // namespace

TEST_CASE("SongUNet's state has the reference's keys, in its order") {
  const nn::Construction shapes(nn::Construction::Mode::shapes_only);
  const auto net = nn::make<nn::SongUNet>({.img_resolution = 8,
                                           .in_channels = 2,
                                           .out_channels = 2,
                                           .label_dim = 3,
                                           .augment_dim = 2,
                                           .model_channels = 4,
                                           .channel_mult = {1, 2},
                                           .channel_mult_emb = 2,
                                           .num_blocks = 1,
                                           .attn_resolutions = {4},
                                           .embedding_type = nn::EmbeddingType::fourier,
                                           .channel_mult_noise = 2,
                                           .encoder_type = nn::EncoderType::residual,
                                           .decoder_type = nn::DecoderType::skip,
                                           .resample_filter = {1, 3, 3, 1},
                                           .additive_pos_embed = true});
  Keys wanted{"spatial_emb",        "map_noise.freqs",     "map_label.weight", "map_label.bias",
              "map_augment.weight", "map_layer0.weight",   "map_layer0.bias",  "map_layer1.weight",
              "map_layer1.bias",    "enc.8x8_conv.weight", "enc.8x8_conv.bias"};
  const auto append = [&](const Keys& keys) {
    wanted.insert(wanted.end(), keys.begin(), keys.end());
  };
  append(block_keys("enc.8x8_block0.", false, false, false));
  append(block_keys("enc.4x4_down.", true, true, false));
  append({"enc.4x4_aux_residual.weight", "enc.4x4_aux_residual.bias",
          "enc.4x4_aux_residual.resample_filter"});
  append(block_keys("enc.4x4_block0.", false, true, true));
  append(block_keys("dec.4x4_in0.", false, false, true));
  append(block_keys("dec.4x4_in1.", false, false, false));
  append(block_keys("dec.4x4_block0.", false, true, false));
  append(block_keys("dec.4x4_block1.", false, true, true));
  append({"dec.4x4_aux_norm.weight", "dec.4x4_aux_norm.bias", "dec.4x4_aux_conv.weight",
          "dec.4x4_aux_conv.bias"});
  append(block_keys("dec.8x8_up.", true, true, false));
  append(block_keys("dec.8x8_block0.", false, true, false));
  append(block_keys("dec.8x8_block1.", false, true, false));
  append({"dec.8x8_aux_up.resample_filter", "dec.8x8_aux_norm.weight", "dec.8x8_aux_norm.bias",
          "dec.8x8_aux_conv.weight", "dec.8x8_aux_conv.bias"});
  Keys keys;
  Shape qkv, concatenated;
  for (const nn::NamedTensor& t : net->state()) {
    keys.push_back(t.name);
    if (t.name == "enc.4x4_block0.attn.qkv.weight") qkv = t.tensor.shape();
    if (t.name == "dec.4x4_block1.conv0.weight") concatenated = t.tensor.shape();
  }
  CHECK(keys == wanted);
  CHECK(qkv == Shape{24, 8, 1, 1});
  CHECK(concatenated == Shape{8, 12, 3, 3});
  CHECK(net->parameter_count() == 12288);
}

TEST_CASE("DDPM++ and NCSN++ have as many parameters as the reference's") {
  const nn::Construction shapes(nn::Construction::Mode::shapes_only);
  CHECK(nn::make<nn::SongUNet>({.img_resolution = 16, .in_channels = 2, .out_channels = 2})
            ->parameter_count() == 60'815'234);
  CHECK(nn::make<nn::SongUNet>({.img_resolution = 64,
                                .in_channels = 2,
                                .out_channels = 2,
                                .embedding_type = nn::EmbeddingType::fourier,
                                .channel_mult_noise = 2,
                                .encoder_type = nn::EncoderType::residual,
                                .resample_filter = {1, 3, 3, 1}})
            ->parameter_count() == 62'755'330);
}

TEST_CASE("a batch of nothing goes through a SongUNet, forward and back") {
  const auto net = nn::make<nn::SongUNet>(small());
  const Tensor x = set_requires_grad(zeros({0, 2, 8, 8}));
  const Tensor y = (*net)(x, zeros({0}));
  CHECK(y.shape() == Shape{0, 3, 8, 8});
  backward(sum(y));
  CHECK(grad_of(x).shape() == x.shape());
}

TEST_CASE("an empty handle given to a SongUNet is named") {
  const auto net = nn::make<nn::SongUNet>(small());
  CHECK_THROWS_WITH_AS((*net)({}, zeros({2})), "SongUNet: x is an empty handle", Error);
  CHECK_THROWS_WITH_AS((*net)(zeros({2, 2, 8, 8}), {}), "SongUNet: noise_labels is an empty handle",
                       Error);
}

TEST_CASE("SongUNet says which shape does not fit") {
  auto config = small();
  config.label_dim = 5;
  config.channel_mult = {1, 1, 1, 1};
  const auto net = nn::make<nn::SongUNet>(config);
  const Tensor labels = zeros({2, 5}), t = zeros({2});
  CHECK_THROWS_WITH_AS(net(zeros({2, 2, 36, 32}), t, labels),
                       "SongUNet: height and width must be multiples of 8 (4 levels), but x is "
                       "[2, 2, 36, 32]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(net(zeros({2, 3, 8, 8}), t, labels),
                       "SongUNet: x must be [B, 2, H, W], but is [2, 3, 8, 8]", ShapeError);
  CHECK_THROWS_WITH_AS(net(zeros({2, 2, 8, 8}), zeros({3}), labels),
                       "SongUNet: noise_labels must be [2] or [1], but are [3]", ShapeError);
  CHECK_THROWS_WITH_AS(net(zeros({2, 2, 8, 8}), t),
                       "SongUNet: label_dim is 5, so class_labels are needed: [2, 5], zeros for no "
                       "class",
                       ShapeError);
  CHECK_THROWS_WITH_AS(net(zeros({2, 2, 8, 8}), t, zeros({1, 5})),
                       "SongUNet: class_labels must be [2, 5], but are [1, 5]", ShapeError);
}

TEST_CASE("images need not be square, nor of the size in the config; the result is channels-last") {
  const auto net = make_random(small());
  const Tensor y = net(noise({1, 2, 12, 6}), noise({1}));
  CHECK(y.shape() == Shape{1, 3, 12, 6});
  CHECK(y.is_channels_last());
}

TEST_CASE("training and evaluation mode differ by the variance of the norms") {
  const auto net = make_random(small());
  const Tensor x = noise({1, 2, 8, 8}), t = noise({1});
  const Tensor training = net(x, t);
  net->eval();
  const double difference = distance(net(x, t), training);
  CHECK(difference > 1e-5);
  CHECK(difference < 0.1);
}

TEST_CASE("a sample's bits do not depend on its batch") {
  const auto net = make_random(small());
  net->eval();
  const NoGrad no_grad;
  const Tensor x = noise({3, 2, 8, 8}), t = noise({3});
  const Tensor all = net(x, t);
  const Tensor second = net(slice(x, 0, 1, 2), slice(t, 0, 1, 2));
  CHECK(slice(all, 0, 1, 2).to_vector<float>() == second.to_vector<float>());
}

// Sums of a fan-out are taken in another order inside a recomputed block: equal up to rounding.
TEST_CASE("recomputing blocks in backward gives the same gradients, with dropout too") {
  auto config = small();
  config.dropout = 0.3;
  const auto run = [&](int64_t level) {
    config.checkpoint_level = level;
    const auto net = make_random(config);
    net->seed(4);
    const Tensor x = set_requires_grad(noise({2, 2, 8, 8}));
    const Tensor y = net(x, noise({2}));
    backward(sum(square(y)));
    std::vector<Tensor> results = parameter_gradients(*net);
    results.push_back(y);
    results.push_back(grad_of(x));
    return results;
  };
  const auto plain = run(0), recomputed = run(2);
  REQUIRE(plain.size() == recomputed.size());
  for (size_t i = 0; i < plain.size(); ++i)
    CHECK(distance(plain[i], recomputed[i]) <= 1e-6 * max(abs(plain[i])).item());
}

TEST_CASE("class labels are dropped in training only") {
  auto config = small();
  config.label_dim = 4;
  config.label_dropout = 1;
  const auto net = make_random(config);
  const Tensor x = noise({2, 2, 8, 8}), t = noise({2}), labels = noise({2, 4});
  CHECK(distance(net(x, t, labels), net(x, t, zeros({2, 4}))) == 0);
  net->eval();
  CHECK(distance(net(x, t, labels), net(x, t, zeros({2, 4}))) > 1e-5);
}

TEST_CASE("one model is evaluated from several threads at once, with the same bytes as alone") {
  auto config = small();
  config.dropout = 0.3;
  const auto net = make_random(config);
  net->eval();
  const auto evaluate = [&](uint64_t seed) {
    const NoGrad no_grad;
    return net(noise({1, 2, 8, 8}, seed), noise({1}, seed)).to_vector<float>();
  };
  std::vector<std::vector<float>> alone, together(4);
  for (uint64_t seed = 0; seed < 4; ++seed) alone.push_back(evaluate(seed));
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed)
    threads.emplace_back([&, seed] { together[seed] = evaluate(seed); });
  for (std::thread& thread : threads) thread.join();
  CHECK(together == alone);
}

TEST_CASE("parameters follow the dtype of the input") {
  const auto net = make_random(small());
  const Tensor x = noise({1, 2, 8, 8}), t = noise({1});
  const NoGrad no_grad;
  const Tensor y = net(to(x, DType::f64), t);
  CHECK(y.dtype() == DType::f64);
  CHECK(distance(to(y, DType::f32), net(x, t)) < 1e-4);
}

TEST_CASE("an index outside the grid is refused on each axis, not read from the next row") {
  nn::SongUNetPosEmbdConfig c;
  static_cast<nn::SongUNetConfig&>(c) = small();
  c.gridtype = nn::GridType::test;
  c.N_grid_channels = 2;
  c.in_channels = 4;
  const auto net = nn::make<nn::SongUNetPosEmbd>(c);
  const Tensor x = zeros({1, 2, 4, 4});
  const auto call = [&](double row, double column) {
    const Tensor rows = reshape(arange(row, 4), {4, 1});
    const Tensor columns = reshape(arange(column, 4), {1, 4});
    const Tensor at = convert(
        unsqueeze(stack({expand(rows, {4, 4}), expand(columns, {4, 4})}, 0), 0), DType::i64);
    return error_of([&] { (*net)(x, zeros({1}), {}, {.global_index = at}); });
  };
  CHECK(call(4, 4).empty());
  CHECK(call(3, 6).find("columns from 6 to 9") != std::string::npos);
  CHECK(call(5, 4).find("rows from 5 to 8") != std::string::npos);
  CHECK(call(4, -1).find("columns from -1") != std::string::npos);
}
