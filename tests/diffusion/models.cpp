#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/model.h>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/legacy/losses.h>
#include <brume/diffusion/legacy/samplers.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/predictor.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/nn/models/song_unet_pos_embd.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/noise.h"
#include "tests/temporary_folder.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

nn::SongUNetConfig small() {
  nn::SongUNetConfig c;
  c.img_resolution = 8;
  c.in_channels = 1;
  c.out_channels = 1;
  c.model_channels = 8;
  c.channel_mult = {1, 2};
  c.num_blocks = 1;
  c.attn_resolutions = {4};
  c.dropout = 0;
  return c;
}

}  // namespace

TEST_CASE("any callable is a model") {
  const AnyModel twice = [](const Tensor& x, const Tensor&, const Condition&) { return x * 2.0; };
  CHECK(twice(ones({1, 1}), ones({1})).item() == 2);
  CHECK_FALSE(static_cast<bool>(twice.module()));
  CHECK_THROWS_WITH_AS(AnyModel()(ones({1}), ones({1})), "AnyModel: holds no model", Error);
}

TEST_CASE("a module that is no model is refused by its name") {
  const nn::Ref<nn::Module> linear = nn::make<nn::Linear>({.in_features = 2, .out_features = 2});
  CHECK_THROWS_AS(AnyModel{linear}, Error);
}

TEST_CASE("a preconditioner around an ideal network is the ideal denoiser") {
  // For data N(0, s^2) with sigma_data = s the network has nothing to add: F = 0.
  const AnyModel zero = [](const Tensor& x, const Tensor&, const Condition&) {
    return zeros_like(x);
  };
  const auto edm = nn::make<EDMPreconditioner>(zero, EDMPreconditionerConfig{.sigma_data = 0.5});
  const Tensor x = full({1, 1, 2, 2}, 3), t = full({1}, 2);
  const Tensor y = edm(x, t);
  CHECK(y.to_vector<float>()[0] == doctest::Approx(3 * 0.25 / (4 + 0.25)));
}

TEST_CASE("a preconditioner names what does not fit") {
  const AnyModel same = [](const Tensor& x, const Tensor&, const Condition&) { return x; };
  const auto edm =
      nn::make<EDMPreconditioner>(same, EDMPreconditionerConfig{.sigma_data = {0.5, 1.0}});
  const Tensor x = ones({2, 3, 4, 4});
  CHECK_THROWS_WITH_AS(edm(x, ones({2})),
                       "EDMPreconditioner: sigma_data is for 2 channels, but x is [2, 3, 4, 4]",
                       ShapeError);
  CHECK_THROWS_AS(edm(x, ones({1})), ShapeError);
  CHECK_THROWS_WITH_AS(edm(ones({2, 2, 4, 4}), ones({2}), ones({3, 5})),
                       "EDMPreconditioner: the condition is [3, 5], but the batch size of x is 2",
                       ShapeError);
}

TEST_CASE("the noise labels of iDDPM are whole in half precision too") {
  std::vector<float> labels;
  const AnyModel watching = [&](const Tensor& x, const Tensor& label, const Condition&) {
    labels = label.to_vector<float>();
    return x;
  };
  const auto iddpm = nn::make<IDDPMPreconditioner>(watching, IDDPMPreconditionerConfig());
  // Levels that bf16 has, so that those of f32 are the same.
  const Tensor t = from_vector(std::vector<float>{4, 0.3125f, 13, 76}, {4}), x = ones({4, 1});
  const auto labels_in = [&](DType dtype) {
    (void)iddpm(convert(x, dtype), convert(t, dtype));
    return labels;
  };
  const std::vector<float> exact = labels_in(DType::f32);
  CHECK(exact[0] == 842);
  CHECK(labels_in(DType::bf16) == exact);
  CHECK(labels_in(DType::f16) == exact);
  CHECK(labels_in(DType::f64) == exact);
}

TEST_CASE("a condition is nothing, a tensor, or named tensors") {
  const Condition named{{"a", ones({2})}, {"b", ones({2})}};
  CHECK_FALSE(named.find("c").defined());
  CHECK_THROWS_WITH_AS(named.at("c"), "Condition: has no 'c'; there is 'a', 'b'", ShapeError);
  CHECK_THROWS_AS((Condition{{"a", ones({2})}, {"a", ones({2})}}), ShapeError);
  CHECK_THROWS_WITH_AS(
      Condition(ones({2})).with("c", ones({2})),
      "Condition: a tensor without a name cannot stand beside 'c'; name it, such as "
      "{{\"class_labels\", x}}",
      ShapeError);
  CHECK(Condition(Tensor()).empty());
  CHECK(Condition(ones({2})).is_tensor());
}

TEST_CASE("a preconditioned network is rebuilt from its file alone, with the same numbers") {
  const auto net = nn::make<SongUNetAdapter>(small());
  const auto edm = nn::make<EDMPreconditioner>({.model = net, .sigma_data = 0.75});
  edm->eval();
  const test::TemporaryFile file("edm_of_song_unet.safetensors");
  nn::save(*edm, file.path);
  const nn::Ref<nn::Module> again = load(file.path);
  again->eval();
  CHECK(again->class_name() == "EDMPreconditioner");
  CHECK(again->config_json() == edm->config_json());
  const Tensor x = noise({2, 1, 8, 8}), t = full({2}, 0.7);
  CHECK(AnyModel(again)(x, t).to_vector<float>() == edm(x, t).to_vector<float>());
}

TEST_CASE("an image condition is joined to x and must have its size") {
  auto config = small();
  config.in_channels = 3;
  const auto wrapped = nn::make<ConcatConditionWrapper>({.model = nn::make<nn::SongUNet>(config)});
  const Tensor x = noise({2, 1, 8, 8}), t = ones({2});
  CHECK(wrapped(x, t, noise({2, 2, 8, 8})).shape() == x.shape());
  CHECK_THROWS_AS(wrapped(x, t, noise({2, 2, 4, 4})), ShapeError);

  // What else is named goes on to the model.
  config.label_dim = 3;
  config.augment_dim = 2;
  const auto net = nn::make<nn::SongUNet>(config);
  const auto labelled = nn::make<ConcatConditionWrapper>({.model = net});
  const Tensor image = noise({2, 2, 8, 8}), vector = noise({2, 3}), augment = noise({2, 2});
  const Condition all{{"cond_concat", image}, {"cond_vec", vector}, {"augment_labels", augment}};
  CHECK(labelled(x, t, all).to_vector<float>() ==
        net(cat({x, image}, 1), t, vector, augment).to_vector<float>());
  CHECK_THROWS_AS(wrapped(x, t, Condition{{"other", noise({2, 2, 8, 8})}}), ShapeError);
}

TEST_CASE("the loss of a perfect model is zero, and a few steps lower that of a real one") {
  const EDMNoiseScheduler scheduler;
  Generator rng(1);
  const Tensor x0 = noise({4, 1, 8, 8});
  const AnyModel perfect = [&](const Tensor&, const Tensor&, const Condition&) { return x0; };
  CHECK(MSEDSMLoss(perfect, scheduler)(x0, rng).item() == 0);

  const auto edm =
      nn::make<EDMPreconditioner>({.model = nn::make<SongUNetAdapter>(small()), .sigma_data = 0.5});
  const MSEDSMLoss loss(edm, scheduler);
  const auto value = [&] {
    Generator fixed(7);
    return loss(x0, fixed);
  };
  const double before = value().item();
  for (int step = 0; step < 20; ++step) {
    for (const auto& p : edm->parameters()) set_grad(p.tensor, {});
    backward(value());
    const NoGrad no_grad;
    for (const auto& p : edm->parameters())
      if (grad_of(p.tensor).defined()) copy_(p.tensor, p.tensor - grad_of(p.tensor) * 0.02);
  }
  CHECK(value().item() < 0.9 * before);
}

TEST_CASE("a score prediction wants its conversion") {
  const AnyModel same = [](const Tensor& x, const Tensor&, const Condition&) { return x; };
  const EDMNoiseScheduler scheduler;
  CHECK_THROWS_AS(MSEDSMLoss(same, scheduler, {.prediction_type = PredictionType::score}),
                  ShapeError);
}

TEST_CASE(
    "an argument of the network that is no sample's passes through all that stand before it") {
  const Tensor x = noise({2, 1, 4, 4}), t = ones({2}), mask = noise({3, 5});
  int seen = 0;
  const AnyModel net = [&](const Tensor& at, const Tensor&, const Condition& c) {
    CHECK(c.at("mask").shape() == Shape{3, 5});
    CHECK(c.at("label").size(0) == at.size(0));
    ++seen;
    return at * 0.5;
  };
  const Condition c = Condition{{"label", noise({2, 3})}}.with_argument("mask", mask);
  const auto edm = nn::make<EDMPreconditioner>(net, EDMPreconditionerConfig{});
  (void)edm(x, t, c);
  const EDMNoiseScheduler scheduler;
  Generator rng(1);
  (void)MSEDSMLoss(edm, scheduler)(x, rng, c);
  (void)EDMLoss()(net, x, rng, {.condition = c});
  NoiseSource source(rng);
  const GridPatching2D grid({4, 4}, {2, 2});
  (void)stochastic_sampler(net, x, {.condition = c, .patching = &grid, .locates_patches = false},
                           source, {.num_steps = 2});
  const auto patches = nn::make<MultiDiffusionModel2D>(
      edm, MultiDiffusionModel2DConfig{.global_spatial_shape = {4, 4}});
  patches->set_grid_patching({2, 2});
  (void)patches(x, t, c);
  MultiDiffusionPredictor predictor(
      patches, {.condition = Condition{}.with_argument("mask", mask).with("label", c.at("label"))});
  predictor.set_patching(0, 0);
  (void)predictor(x, t);
  CHECK(seen == 8);

  CHECK(error_of([&] { (void)edm(x, t, c.without("mask").with("mask", mask)); }) ==
        "EDMPreconditioner: the condition 'mask' is [3, 5], but the batch size of x is 2; what is "
        "no sample's joins by with_argument");
}

TEST_CASE("places of patches reach a preconditioned network") {
  nn::SongUNetPosEmbdConfig c;
  static_cast<nn::SongUNetConfig&>(c) = small();
  c.in_channels = 5;
  c.N_grid_channels = 4;
  const auto net = nn::make<nn::SongUNetPosEmbd>(c);
  net->eval();
  Generator rng(2);
  const RandomPatching2D patching({8, 8}, {4, 4}, 2, rng);
  const Tensor x = noise({4, 1, 4, 4}), t = ones({4});
  const Tensor index = patching.global_index();
  const auto ve = nn::make<VEPreconditioner>(net, VEPreconditionerConfig{});
  const Tensor f = (*net)(x, log(t * 0.5), Tensor(), {.global_index = index});
  CHECK(distance(ve(x, t, Condition{}.with_argument("global_index", index)), x + f) < 1e-6);
}
