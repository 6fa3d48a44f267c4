#include <cmath>
#include <numbers>

#include <doctest/doctest.h>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/legacy/corrdiff_losses.h>
#include <brume/diffusion/legacy/generate.h>
#include <brume/diffusion/legacy/losses.h>
#include <brume/diffusion/legacy/preconditioners.h>
#include <brume/diffusion/legacy/samplers.h>
#include <brume/diffusion/legacy/vorticity_residual.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

nn::SongUNetConfig small_unet(int64_t label_dim = 0) {
  return {.label_dim = label_dim,
          .model_channels = 4,
          .channel_mult = {1},
          .num_blocks = 1,
          .attn_resolutions = {}};
}

EDMPrecondConfig small(int64_t label_dim = 0) {
  return {.img_resolution = 4, .img_channels = 1, .model = small_unet(label_dim)};
}

AnyModel perfect(const Tensor& images) {
  return [images](const Tensor&, const Tensor&, const Condition&) { return images; };
}

}  // namespace

TEST_CASE("an older preconditioner takes its network's arguments among its own") {
  const std::string json = R"({"img_resolution": 4, "img_channels": 1, "model_type": "SongUNet",
                               "model_channels": 4, "channel_mult": [1], "num_blocks": 1})";
  (void)AnyModel(nn::Ref<nn::Module>(nn::make<EDMPrecond>(small())));  // registers the classes
  const nn::Ref<nn::Module> made = nn::construct("EDMPrecond", json);
  CHECK(made->class_name() == "EDMPrecond");
  CHECK(made->state()[0].name == "sigma_data");
  CHECK(error_of([&] {
          (void)nn::construct("EDMPrecond", R"({"img_resolution": 4, "img_channels": 1,
                                                "model_type": "SongUNet", "model_chanels": 4})");
        }) == "EDMPrecond: unknown argument 'model_chanels'; did you mean 'model_channels'?");
}

TEST_CASE("an older preconditioner is rebuilt from its file, with the same numbers") {
  const test::TemporaryFile file("edm_precond.safetensors");
  const auto net = nn::make<EDMPrecond>(small());
  net->eval();
  nn::save(*net, file.path);
  const nn::Ref<nn::Module> loaded = diffusion::load(file.path);
  loaded->eval();
  Generator rng(2);
  const Tensor x = normal({2, 1, 4, 4}, rng), sigma = exp(normal({2}, rng));
  CHECK(loaded->config_json() == net->config_json());
  CHECK(AnyModel(loaded)(x, sigma).to_vector<float>() == net(x, sigma).to_vector<float>());
}

TEST_CASE("one sigma serves all samples, and missing class labels are zeros") {
  const auto net = nn::make<EDMPrecond>(small(3));
  net->eval();
  Generator rng(3);
  const Tensor x = normal({2, 1, 4, 4}, rng);
  const Condition zero{{"class_labels", zeros({2, 3})}};
  const auto values = net(x, full({2}, 0.7), zero).to_vector<float>();
  CHECK(net(x, full({1}, 0.7)).to_vector<float>() == values);
  CHECK(
      error_of([&] { (void)net(x, ones({3})); }) ==
      "EDMPrecond: wants one sigma for all or one for each sample, got [3] for x of [2, 1, 4, 4]");
  CHECK(error_of([&] {
          (void)net(x, ones({2}), Condition{{"labels", zeros({2, 3})}});
        }) == "SongUNet: takes no condition 'labels'; it takes 'class_labels', 'augment_labels'");
}

TEST_CASE("the vorticity residual is the equation's, and its gradient is exact for a known flow") {
  // w = cos x + cos 2y at all times: u w_x + v w_y = -3/2 sin x sin 2y, so r is known. The loss
  // mean(r^2) depends on the last frame through dw/dt = 16 (w2 - w0) alone.
  constexpr int64_t kN = 16;
  const Tensor angle = arange(0, kN, 2 * std::numbers::pi / kN, {.dtype = DType::f64});
  const Tensor x = reshape(angle, {kN, 1}), y = angle;
  const Tensor w = cos(x) + cos(y * 2.0);
  const Tensor r = (cos(x) + cos(y * 2.0) * 4.0) * 1e-3 + w * 0.1 - sin(x) * sin(y * 2.0) * 1.5 +
                   cos(y * 4.0) * 4.0;
  const Tensor g = vorticity_residual_gradient(expand(w, {1, 3, kN, kN}));
  const Tensor last = select(select(g, 0, 0), 0, 2), first = select(select(g, 0, 0), 0, 0);
  CHECK(max(abs(last - r * (2.0 * 16 / (kN * kN)))).item() < 1e-12);
  CHECK(max(abs(last + first)).item() < 1e-12);
  CHECK(error_of([] {
          (void)vorticity_residual_gradient(ones({1, 2, 8, 8}));
        }) ==
        "vorticity_residual_gradient: wants three or more frames of N x N points, N even, got "
        "[1, 2, 8, 8]");
}

TEST_CASE(
    "the flow preconditioner of a condition sees the residual, and has the reference's keys") {
  const auto net = nn::make<VEPrecond_dfsr_cond>(
      {.img_resolution = 8, .img_channels = 3, .model = small_unet()});
  net->eval();
  Generator rng(4);
  const Tensor x = normal({2, 3, 8, 8}, rng), sigma = from_vector<float>({0.5F, 2}, {2});
  const Tensor out = net(x, sigma);
  CHECK(out.shape() == x.shape());
  std::vector<std::string> own;
  for (const auto& [name, tensor] : net->state())
    if (!name.starts_with("model.")) own.push_back(name);
  CHECK(own == std::vector<std::string>{"conv_in.weight", "conv_in.bias", "emb_conv.0.weight",
                                        "emb_conv.0.bias", "emb_conv.2.weight", "emb_conv.2.bias"});
  // With conv_in closed x reaches the network through the residual alone.
  const NoGrad no_grad;
  for (const auto& [name, tensor] : net->parameters())
    if (name.starts_with("conv_in")) fill_(tensor, 0);
  CHECK(max(abs(net(x, sigma) - net(-x, sigma))).item() > 0);
}

TEST_CASE("levels of the iDDPM preconditioner round to its table") {
  const auto net = nn::make<iDDPMPrecond>(
      {.img_resolution = 4, .img_channels = 1, .M = 50, .model = small_unet()});
  const Tensor rounded = net->round_sigma(from_vector(std::vector<float>{0.7f, 1e9f}, {2}));
  CHECK(rounded.to_vector<float>()[1] == static_cast<float>(net->sigma_max()));
  CHECK(net->round_sigma(rounded).to_vector<float>() == rounded.to_vector<float>());
  CHECK(net(ones({1, 1, 4, 4}), ones({1})).shape() == Shape{1, 1, 4, 4});
}

TEST_CASE("the older losses of a perfect network are zero, element by element") {
  Generator rng(4);
  const Tensor images = normal({3, 2, 4, 4}, rng), low = normal({3, 1, 4, 4}, rng);
  const AnyModel net = perfect(images);
  for (const Tensor& loss : {EDMLoss()(net, images, rng), EDMLossLogUniform()(net, images, rng),
                             VPLoss()(net, images, rng), VELoss()(net, images, rng),
                             EDMLossSR()(net, images, low, rng)}) {
    CHECK(loss.shape() == images.shape());
    for (float value : loss.to_vector<float>()) CHECK(value == 0);
  }
}

TEST_CASE("the older losses draw their levels in f32, whatever the images are") {
  Tensor sigma;
  const AnyModel watching = [&](const Tensor& x, const Tensor& level, const Condition&) {
    sigma = level;
    return x;
  };
  const auto levels = [&](const auto& loss, DType dtype) {
    Generator rng = Generator::torch_cpu(3);
    (void)loss(ones({3, 1, 4, 4}, {.dtype = dtype}), rng);
    CHECK(sigma.dtype() == dtype);
    return sigma;
  };
  const auto agrees = [&](const auto& loss) {
    const Tensor f32 = levels(loss, DType::f32);
    CHECK(levels(loss, DType::f64).template to_vector<double>() ==
          f32.template to_vector<double>());
    CHECK(levels(loss, DType::bf16).template to_vector<float>() ==
          convert(f32, DType::bf16).template to_vector<float>());
  };
  agrees([&](const Tensor& y, Generator& rng) { return EDMLoss()(watching, y, rng); });
  agrees([&](const Tensor& y, Generator& rng) { return EDMLossLogUniform()(watching, y, rng); });
  agrees([&](const Tensor& y, Generator& rng) { return VPLoss()(watching, y, rng); });
  agrees([&](const Tensor& y, Generator& rng) { return VELoss()(watching, y, rng); });
  agrees([&](const Tensor& y, Generator& rng) { return EDMLossSR()(watching, y, y, rng); });
}

TEST_CASE("the steps of VELoss_dfsr reach the network whole, in half precision too") {
  std::vector<float> steps;
  const AnyModel watching = [&](const Tensor& x, const Tensor& t, const Condition&) {
    steps = t.to_vector<float>();
    return x;
  };
  const auto steps_in = [&](DType dtype) {
    Generator rng(3);
    (void)VELoss_dfsr()(watching, ones({8, 1, 2, 2}, {.dtype = dtype}), rng);
    return steps;
  };
  CHECK(steps_in(DType::bf16) == steps_in(DType::f32));

  // Two steps that bf16 rounds to one.
  const auto net =
      nn::make<VEPrecond_dfsr>({.img_resolution = 4, .img_channels = 1, .model = small_unet()});
  net->eval();
  const NoGrad guard;
  Generator rng(5);
  for (const auto& [name, tensor] : net->parameters())
    copy_(tensor, normal(tensor.shape(), rng) * 0.3);
  const Tensor x = ones({2, 1, 4, 4}, {.dtype = DType::bf16});
  const Tensor y = net(x, from_vector(std::vector<float>{883, 884}, {2}));
  CHECK(max(abs(select(y, 0, 0) - select(y, 0, 1))).item() > 0);
}

TEST_CASE("images are augmented before noise is added, and the labels reach the network") {
  Generator rng(5);
  const Tensor images = normal({2, 1, 4, 4}, rng);
  const AnyModel net = [&](const Tensor&, const Tensor&, const Condition& c) {
    CHECK(c.at("augment_labels").to_vector<float>() == std::vector<float>{7, 7});
    return -images;
  };
  const LegacyLossInputs flipped{
      .augment_pipe = [](const Tensor& x) { return std::pair(-x, full({1}, 7)); }};
  for (float value : EDMLoss()(net, images, rng, flipped).to_vector<float>()) CHECK(value == 0);
}

TEST_CASE("the older losses say what does not fit") {
  Generator rng(6);
  const Tensor images = ones({2, 1, 4, 4});
  CHECK(error_of([] { EDMLoss({.P_std = 0}); }) == "EDMLoss: P_std must be positive, got 0");
  CHECK(error_of([] { VPLoss({.epsilon_t = 1}); }) == "VPLoss: epsilon_t must be in (0, 1), got 1");
  CHECK(error_of([&] {
          (void)EDMLoss({.sigma_data = {1, 2}})(perfect(images), images, rng);
        }) == "EDMLoss: takes one value or a list of 1, got a list of 2");
  CHECK(error_of([&] {
          (void)EDMLoss()(perfect(ones({2, 1, 4, 3})), images, rng);
        }) == "EDMLoss: the network returned [2, 1, 4, 3] for images of [2, 1, 4, 4]");
  CHECK(
      error_of([&] {
        (void)EDMLossSR()(perfect(images), images, ones({2, 1, 2, 2}), rng);
      }) ==
      "EDMLossSR: img_lr of [2, 1, 2, 2] does not fit img_clean of [2, 1, 4, 4]; all axes but the "
      "channels must agree");
}

TEST_CASE("the older samplers integrate dx/dt = -x, whatever the schedule and the scaling") {
  const AnyModel net = [](const Tensor& x, const Tensor& sigma, const Condition&) {
    return x * (1.0 + per_sample(sigma, x));
  };
  Generator rng(8);
  NoiseSource noise(rng);
  const Tensor latents = full({2, 1, 2, 2}, std::exp(-4) / 4);
  const DeterministicSamplerOptions plain{.num_steps = 100, .sigma_min = 0.002, .sigma_max = 4};
  const auto ends_at_one = [&](const DeterministicSamplerOptions& o, double tolerance) {
    const Tensor x = deterministic_sampler(net, latents, {}, noise, o);
    CHECK(x.dtype() == DType::f64);
    CHECK(x.to_vector<double>()[0] == doctest::Approx(1).epsilon(tolerance).scale(0));
  };
  ends_at_one(plain, 0.01);
  // Other discretizations take larger steps where sigma is large, or begin beside sigma_max.
  for (Discretization d : {Discretization::vp, Discretization::ve, Discretization::iddpm})
    for (Schedule schedule : {Schedule::vp, Schedule::ve, Schedule::linear})
      for (Scaling scaling : {Scaling::vp, Scaling::none}) {
        DeterministicSamplerOptions o = plain;
        o.discretization = d;
        o.schedule = schedule;
        o.scaling = scaling;
        ends_at_one(o, 0.05);
      }
  const Tensor x = stochastic_sampler(net, latents, {}, noise, {.num_steps = 100, .sigma_max = 4});
  CHECK(x.to_vector<float>()[0] == doctest::Approx(1).epsilon(0.01).scale(0));
}

TEST_CASE("the older samplers watch a run, end it, and say what does not fit") {
  const AnyModel net = [](const Tensor& x, const Tensor&, const Condition&) { return x * 0.5; };
  Generator rng(9);
  NoiseSource noise(rng);
  const Tensor latents = normal({2, 1, 4, 4}, rng);
  int64_t last = 0;
  (void)stochastic_sampler(net, latents, {}, noise, {.on_step = [&](int64_t step, const Tensor&) {
                             last = step;
                             return step < 3;
                           }});
  CHECK(last == 3);
  const auto stochastic = [&](const LegacySamplerInputs& in, const StochasticSamplerOptions& o) {
    return error_of([&] { (void)stochastic_sampler(net, latents, in, noise, o); });
  };
  CHECK(stochastic({}, {.num_steps = 1}) == "stochastic_sampler: wants at least 2 steps, got 1");
  CHECK(stochastic({}, {.sigma_min = 3, .sigma_max = 2}) ==
        "stochastic_sampler: wants 0 < sigma_min < sigma_max within the network's range, got 3 and "
        "2");
  CHECK(stochastic({}, {.S_churn = -1}) ==
        "stochastic_sampler: S_churn must not be negative, got -1");
  CHECK(
      stochastic({.img_lr = ones({1, 1, 4, 4})}, {}).starts_with("stochastic_sampler: img_lr of"));
  CHECK(error_of([&] { (void)deterministic_sampler(net, latents, {}, noise, {.alpha = 0}); }) ==
        "deterministic_sampler: alpha must be in (0, 1], got 0");
  const AnyModel breaks = [](const Tensor& x, const Tensor&, const Condition&) {
    return x * std::nan("");
  };
  CHECK(error_of([&] {
          (void)stochastic_sampler(breaks, latents, {}, noise, {.sigma_max = 64, .rho = 1});
        }) == "stochastic_sampler: x is not finite after step 1 of 18, from noise level 64");
}

TEST_CASE("the losses of CorrDiff regress the mean and denoise what it leaves") {
  Generator rng(10);
  const Tensor clean = normal({2, 3, 8, 8}, rng), low = normal({2, 1, 8, 8}, rng);
  for (float value : RegressionLoss()(perfect(clean), clean, low).to_vector<float>())
    CHECK(value == 0);
  // Two equal logits: cross entropy log 2 where the shares add up to 1.
  const AnyModel flat = [](const Tensor& x, const Tensor&, const Condition&) {
    return zeros_like(x);
  };
  const Tensor loss = RegressionLossCE({1, 2})(flat, full({2, 3, 8, 8}, 0.5), low);
  CHECK(loss.shape() == Shape{2, 2, 8, 8});
  CHECK(loss.to_vector<float>()[64] == doctest::Approx(std::log(2)));

  const Tensor mean = normal({2, 3, 8, 8}, rng);
  int seen = 0;
  const AnyModel net = [&](const Tensor& x, const Tensor&, const Condition& c) {
    CHECK(c.at("img_lr").size(0) == x.size(0));
    seen = static_cast<int>(c.at("img_lr").size(1));
    return x * 0.0;
  };
  const ResidualLoss residual(perfect(mean), {.hr_mean_conditioning = true});
  CHECK(residual(net, clean, low, rng).shape() == clean.shape());
  CHECK(seen == 4);
  const RandomPatching2D patching({8, 8}, {4, 4}, 3, rng);
  CHECK(residual(net, clean, low, rng, {.patching = &patching}).shape() == Shape{6, 3, 4, 4});
  CHECK(seen == 5);
  for (float value : residual(net, mean, low, rng).to_vector<float>()) CHECK(value == 0);
}

TEST_CASE("older losses and samplers ask at one level for each row, as every model is asked") {
  Generator rng(12);
  NoiseSource noise(rng);
  const Tensor images = normal({2, 1, 4, 4}, rng), low = normal({2, 1, 4, 4}, rng);
  std::vector<int64_t> asked;
  const AnyModel net = [&](const Tensor& x, const Tensor& t, const Condition&) {
    CHECK(t.rank() == 1);
    asked.push_back(t.size(0));
    return x * (1.0 / (1.0 + per_sample(t, x)));
  };
  for (const Tensor& loss :
       {EDMLoss()(net, images, rng), EDMLossLogUniform()(net, images, rng),
        VPLoss()(net, images, rng), VELoss()(net, images, rng), EDMLossSR()(net, images, low, rng),
        ResidualLoss(perfect(images * 0.5))(net, images, low, rng)})
    CHECK(loss.shape() == images.shape());
  CHECK(asked == std::vector<int64_t>(6, 2));
  const auto edm = nn::make<EDMPreconditioner>(net, EDMPreconditionerConfig{});
  CHECK(EDMLoss()(AnyModel(edm), images, rng).shape() == images.shape());
  CHECK(stochastic_sampler(AnyModel(edm), images, {}, noise).shape() == images.shape());
  asked.clear();
  const GridPatching2D grid({4, 4}, {2, 2});
  (void)deterministic_sampler(net, images, {.patching = &grid, .locates_patches = false}, noise,
                              {.num_steps = 2, .solver = LegacySolver::euler});
  CHECK(asked == std::vector<int64_t>(2, 8));
}

namespace {

// A network of lead times, by patches of 4x4 of images of 8x8, with whole images of 2 channels.
AnyModel of_lead_times() {
  nn::SongUNetPosLtEmbdConfig c;
  static_cast<nn::SongUNetConfig&>(c) = small_unet(2);
  c.augment_dim = 3;
  c.N_grid_channels = 4;
  c.lead_time_channels = 2;
  c.lead_time_steps = 3;
  const auto net = nn::make<EDMPrecondSuperResolution>(EDMPrecondSuperResolutionConfig{
      .img_resolution = 8, .img_in_channels = 10, .img_out_channels = 1, .model = c});
  net->eval();
  Generator rng(13);
  const NoGrad no_grad;
  for (const auto& [name, x] : net->parameters()) copy_(x, normal(x.shape(), rng) * 0.3);
  return AnyModel(net);
}

Tensor row(const Tensor& x, int64_t i) { return slice(x, 0, i, i + 1); }

}  // namespace

TEST_CASE("patches of several images keep the lead time and the labels of their image") {
  Generator rng(14);
  const AnyModel net = of_lead_times();
  const Tensor clean = normal({2, 1, 8, 8}, rng), low = normal({2, 2, 8, 8}, rng);
  const Tensor times = from_vector<int64_t>({0, 2}, {2}), classes = normal({2, 2}, rng);
  const Tensor turned = normal({2, 3}, rng);
  const Condition labels{{"lead_time_label", times}, {"class_labels", classes}};

  const RandomPatching2D patching({8, 8}, {4, 4}, 3, rng);
  const AnyModel compared = [&](const Tensor& x, const Tensor& sigma, const Condition& c) {
    const Tensor all = net(x, sigma, c);
    REQUIRE(x.size(0) == 6);
    for (int64_t r = 0; r < 6; ++r) {
      const int64_t patch = r / 2, image = r % 2;
      const Condition own{{"lead_time_label", row(times, image)},
                          {"class_labels", row(classes, image)},
                          {"augment_labels", row(turned, image)},
                          {"global_index", row(patching.global_index(), patch)},
                          {"img_lr", row(c.at("img_lr"), r)}};
      CHECK(max(abs(net(row(x, r), row(sigma, r), own) - row(all, r))).item() < 1e-5);
    }
    return all;
  };
  const ResidualLoss loss(perfect(clean * 0.5));
  const ResidualLossInputs inputs{
      .condition = labels,
      .augment_pipe = [&](const Tensor& x) { return std::pair(x, turned); },
      .patching = &patching};
  CHECK(loss(compared, clean, low, rng, inputs).shape() == Shape{6, 1, 4, 4});

  const GridPatching2D grid({8, 8}, {4, 4});
  NoiseSource noise(rng);
  const auto sampled = [&](const Tensor& latents, const Tensor& image, const Condition& c) {
    return stochastic_sampler(net, latents, {.img_lr = image, .condition = c, .patching = &grid},
                              noise, {.num_steps = 2});
  };
  const Tensor both = sampled(clean, low, labels);
  for (const int64_t i : {0, 1}) {
    const Tensor alone =
        sampled(row(clean, i), row(low, i),
                {{"lead_time_label", row(times, i)}, {"class_labels", row(classes, i)}});
    CHECK(max(abs(alone - row(both, i))).item() < 1e-3 * max(abs(alone)).item());
  }
  // One row serves all; another batch is refused.
  const Condition one{{"lead_time_label", row(times, 1)}, {"class_labels", row(classes, 1)}};
  CHECK(max(abs(row(sampled(clean, low, one), 1) - row(both, 1))).item() == 0);
  const Condition three{{"lead_time_label", zeros({3}, {.dtype = DType::i64})}};
  CHECK(error_of([&] { (void)sampled(clean, low, three); }) ==
        "stochastic_sampler: the condition 'lead_time_label' is [3], but the batch size of x is 2; "
        "what is no sample's joins by with_argument");
  CHECK(error_of([&] {
          (void)loss(net, clean, low, rng, {.condition = three, .patching = &patching});
        }).starts_with("ResidualLoss: the condition 'lead_time_label' is [3], but the batch"));
}

TEST_CASE("a regression that the caller has already is one of these images") {
  Generator rng(15);
  const Tensor clean = normal({2, 1, 4, 4}, rng);
  const AnyModel net = perfect(clean);
  CHECK(error_of([&] {
          (void)ResidualLoss(net)(net, clean, clean, rng, {.y_mean = ones({1, 1, 1, 1})});
        }) ==
        "ResidualLoss: y_mean is [1, 1, 1, 1] for img_clean of [2, 1, 4, 4]; it is what "
        "regression() returns");
}

TEST_CASE("an ensemble is the mean and one sample for each seed, however the seeds are split") {
  Generator rng(11);
  const Tensor low = normal({1, 1, 4, 4}, rng);
  const AnyModel net = [](const Tensor& x, const Tensor&, const Condition& c) {
    return x * 0.5 + c.at("img_lr");
  };
  const Tensor mean = regression_step(net, low, {3, 1, 4, 4});
  CHECK(mean.shape() == Shape{3, 1, 4, 4});
  CHECK(select(mean, 0, 2).to_vector<float>() == select(low, 0, 0).to_vector<float>());
  const EnsembleSampler sampler = [&](const Tensor& latents, const LegacySamplerInputs& inputs,
                                      NoiseSource& noise) {
    return stochastic_sampler(net, latents, inputs, noise, {.num_steps = 4, .S_churn = 1});
  };
  fill_(select(mean, 0, 0), 7);  // a sample's memory is its own
  CHECK(select(mean, 0, 2).to_vector<float>() == select(low, 0, 0).to_vector<float>());
  const auto members = [&](const std::vector<std::vector<uint64_t>>& seeds) {
    return diffusion_step(sampler, 1, seeds, {.img_lr = low}).to_vector<float>();
  };
  CHECK(members({{4, 5, 6}}) == members({{4}, {}, {5, 6}}));
  const EnsembleSampler echo = [](const Tensor& latents, const LegacySamplerInputs&, NoiseSource&) {
    return latents;
  };
  const std::vector<uint64_t> seeds{1, 2};
  CHECK(diffusion_step(echo, 1, {seeds}, {.img_lr = low}, 5).to_vector<float>() ==
        NoiseSource(seeds).student_t({2, 1, 4, 4}, 5).to_vector<float>());
  CHECK(error_of([&] { (void)diffusion_step(sampler, 1, {{}}, {.img_lr = low}); }) ==
        "diffusion_step: wants at least one seed");
  CHECK(error_of([&] {
          (void)regression_step(net, ones({2, 1, 4, 4}), {2, 1, 4, 4});
        }) == "regression_step: wants one image [1, C, H, W], got [2, 1, 4, 4]");
}

TEST_CASE("variance schedules are the reference's") {
  const auto is = [](BetaSchedule kind, const std::vector<double>& wanted) {
    const auto count = static_cast<int64_t>(wanted.size());
    const std::vector<double> beta = get_beta_schedule(kind, 1e-4, 0.04, count);
    REQUIRE(beta.size() == wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i)
      CHECK(beta[i] == doctest::Approx(wanted[i]).epsilon(1e-12).scale(0));
  };
  is(BetaSchedule::linear, {1e-4, 0.0134, 0.0267, 0.04});
  is(BetaSchedule::quad, {1e-4, 0.011025, 0.04});  // squares of 0.01, 0.105, 0.2
  is(BetaSchedule::constant, {0.04, 0.04, 0.04});
  is(BetaSchedule::jsd, {0.25, 1.0 / 3, 0.5, 1});
  const double end = 1 / (1 + std::exp(6));
  is(BetaSchedule::sigmoid, {1e-4 + 0.0399 * end, 0.02005, 1e-4 + 0.0399 * (1 - end)});
}

TEST_CASE("an ensemble draws from PyTorch's stream, or any other, if it is told so") {
  const EnsembleSampler echo = [](const Tensor& latents, const LegacySamplerInputs&, NoiseSource&) {
    return latents;
  };
  const Tensor low = zeros({1, 1, 4, 4});
  const auto drawn = diffusion_step(echo, 1, {{7, 42}}, {.img_lr = low}, {}, &Generator::torch_cpu)
                         .to_vector<float>();
  // torch.randn(16) of seed 42
  CHECK(drawn[16] == doctest::Approx(1.92691493).epsilon(1e-6).scale(0));
  CHECK(drawn[17] == doctest::Approx(1.48728418).epsilon(1e-6).scale(0));
  CHECK(error_of([&] {
          (void)diffusion_step(echo, 1, {{7}}, {.img_lr = low}, {}, SampleGenerator());
        }) == "diffusion_step: the generator is empty");
  // torch.randint(0, 10, [3]) of seeds 42 and 7
  NoiseSource noise(std::vector{Generator::torch_cpu(42), Generator::torch_cpu(7)});
  CHECK(noise.integers({2, 3}, 0, 10).to_vector<int64_t>() ==
        std::vector<int64_t>{2, 7, 6, 5, 2, 1});
}

TEST_CASE("the error of the older losses weighs as its level says") {
  Generator rng(16);
  const Tensor images = normal({3, 2, 4, 4}, rng), low = normal({3, 1, 4, 4}, rng);
  Tensor levels;
  const AnyModel off_by_one = [&](const Tensor&, const Tensor& sigma, const Condition&) {
    levels = sigma;
    return images + 1.0;
  };
  const auto edm = [](double s) { return (s * s + 0.25) / (s * s * 0.25); };
  const auto inverse = [](double s) { return 1 / (s * s); };
  const auto weighs = [&](const Tensor& loss, double (*weight)(double)) {
    const auto sigma = levels.to_vector<float>(), values = loss.to_vector<float>();
    for (size_t i = 0; i < values.size(); ++i)
      CHECK(values[i] == doctest::Approx(weight(double{sigma[i / 32]})).epsilon(1e-4).scale(0));
  };
  weighs(EDMLoss()(off_by_one, images, rng), edm);
  weighs(EDMLossLogUniform()(off_by_one, images, rng), edm);
  weighs(EDMLossSR()(off_by_one, images, low, rng), edm);
  weighs(ResidualLoss(perfect(zeros_like(images)))(off_by_one, images, low, rng), edm);
  weighs(VPLoss()(off_by_one, images, rng), inverse);
  weighs(VELoss()(off_by_one, images, rng), inverse);
}

TEST_CASE("the flow preconditioner takes the residual in the data's units") {
  const double mean = 5, scale = 3;
  const VEPrecond_dfsrConfig config{.img_resolution = 8,
                                    .img_channels = 3,
                                    .dataset_mean = mean,
                                    .dataset_scale = scale,
                                    .model = small_unet()};
  VEPrecond_dfsrConfig plain = config;
  plain.dataset_mean = 0, plain.dataset_scale = 1;
  const auto net = nn::make<VEPrecond_dfsr_cond>(config),
             other = nn::make<VEPrecond_dfsr_cond>(plain);
  net->eval(), other->eval();
  Generator rng(17);
  const NoGrad no_grad;
  // x reaches the networks through the residual alone, whose gradient is `scale` times as large in
  // the other's units.
  const auto own = net->parameters(), others = other->parameters();
  for (size_t i = 0; i < own.size(); ++i) {
    const auto& [name, tensor] = own[i];
    copy_(tensor, normal(tensor.shape(), rng) * (name.starts_with("conv_in") ? 0 : 0.3));
    copy_(others[i].tensor, name == "emb_conv.0.weight" ? tensor / scale : tensor);
  }
  const Tensor x = normal({1, 3, 8, 8}, rng) * 0.1, sigma = ones({1});
  const Tensor y = net(x, sigma);
  CHECK(max(abs(y - other(x * scale + mean, sigma))).item() < 1e-4 * max(abs(y)).item());
  CHECK(max(abs(y - other(x, sigma))).item() > 1e-2 * max(abs(y)).item());
  CHECK(max(abs(y - other(x * scale, sigma))).item() > 1e-2 * max(abs(y)).item());
}

TEST_CASE("one row of labels serves all samples of the older preconditioners and steps") {
  const auto ve =
      nn::make<VEPrecond>({.img_resolution = 4, .img_channels = 1, .model = small_unet(3)});
  const auto edm = nn::make<EDMPrecond>(small(3));
  Generator rng(18);
  NoiseSource noise(rng);
  const Tensor x = normal({2, 1, 4, 4}, rng), sigma = ones({2}), label = normal({1, 3}, rng);
  const Condition one{{"class_labels", label}}, each{{"class_labels", expand(label, {2, 3})}};
  for (const AnyModel& net : {AnyModel(ve), AnyModel(edm)}) {
    net.module()->eval();
    CHECK(net(x, sigma, one).to_vector<float>() == net(x, sigma, each).to_vector<float>());
  }
  const auto sampled = [&](const Condition& c) {
    return stochastic_sampler(AnyModel(ve), x, {.condition = c}, noise, {.num_steps = 2})
        .to_vector<float>();
  };
  CHECK(sampled(one) == sampled(each));
  // A network without classes is given none, as in the reference.
  const auto plain = nn::make<EDMPrecond>(small());
  plain->eval();
  CHECK(plain(x, sigma, each).to_vector<float>() == plain(x, sigma).to_vector<float>());
  const EnsembleSampler counting = [](const Tensor& latents, const LegacySamplerInputs& in,
                                      NoiseSource&) {
    CHECK(in.condition.at("class_labels").shape() == Shape{3, 3});
    return latents;
  };
  (void)diffusion_step(counting, 1, {{1, 2, 3}}, {.img_lr = ones({1, 1, 4, 4}), .condition = one});
}

TEST_CASE("older losses and samplers refuse a condition of another batch, or said twice") {
  Generator rng(19);
  NoiseSource noise(rng);
  const Tensor x = normal({2, 1, 4, 4}, rng);
  const AnyModel net = [](const Tensor& y, const Tensor&, const Condition&) { return y * 0.5; };
  const Condition three{{"lead_time_label", zeros({3})}};
  const LegacyLossInputs in{.condition = three};
  const std::string other =
      ": the condition 'lead_time_label' is [3], but the batch size of x is 2; what is no sample's "
      "joins by with_argument";
  CHECK(error_of([&] { (void)EDMLoss()(net, x, rng, in); }) == "EDMLoss" + other);
  CHECK(error_of([&] { (void)EDMLossSR()(net, x, x, rng, in); }) == "EDMLossSR" + other);
  CHECK(error_of([&] { (void)VELoss_dfsr()(net, x, rng, three); }) == "VELoss_dfsr" + other);
  CHECK(error_of([&] { (void)RegressionLoss()(net, x, x, in); }) == "RegressionLoss" + other);
  CHECK(error_of([&] {
          (void)ResidualLoss(net)(net, x, x, rng, {.condition = three, .y_mean = x});
        }) == "ResidualLoss" + other);
  CHECK(error_of([&] { (void)stochastic_sampler(net, x, {.condition = three}, noise); }) ==
        "stochastic_sampler" + other);
  CHECK(error_of([&] { (void)deterministic_sampler(net, x, {.condition = three}, noise); }) ==
        "deterministic_sampler" + other);
  CHECK(error_of([&] {
          (void)EDMLossSR()(net, x, x, rng, {.condition = {{"img_lr", x}}});
        }) ==
        "Condition: has 'img_lr' already, which another argument brings; leave one of them out");
}

TEST_CASE("images beside x, and times, are taken in the type of x") {
  Generator rng(20);
  NoiseSource noise(rng);
  const Tensor x = normal({2, 1, 4, 4}, rng), low = normal({2, 1, 4, 4}, rng);
  const Tensor x64 = convert(x, DType::f64), low64 = convert(low, DType::f64), t = ones({2});
  EDMPrecondConfig config = small();
  config.img_in_channels = 2;
  const auto net = nn::make<EDMPrecond>(config);
  net->eval();
  CHECK(max(abs(convert(net(x64, t, low), DType::f32) - net(x, t, low))).item() < 1e-5);

  const AnyModel joins = [](const Tensor& at, const Tensor&, const Condition& c) {
    return slice(cat({at, c.at("img_lr")}, 1), 1, 0, 1) * 0.5;
  };
  const LegacySamplerInputs in{.img_lr = low64, .mean_hr = low};
  const auto integrated = [&](DType dtype) {
    return deterministic_sampler(joins, x64, in, noise, {.num_steps = 3, .dtype = dtype}).dtype();
  };
  CHECK(integrated(DType::f64) == DType::f64);
  CHECK(integrated(DType::f32) == DType::f32);
  CHECK(error_of([&] { (void)integrated(DType::i64); }) ==
        "deterministic_sampler: wants a floating dtype to integrate in, got i64");
  for (const Tensor& latents : {x, x64})
    CHECK(stochastic_sampler(joins, latents, in, noise, {.num_steps = 3}).dtype() ==
          latents.dtype());
  CHECK(EDMLossSR()(joins, x64, low, rng).dtype() == DType::f64);

  const auto edm = nn::make<EDMPreconditioner>(perfect(x), EDMPreconditionerConfig{});
  CHECK(edm(x, convert(t, DType::f64)).to_vector<float>() == edm(x, t).to_vector<float>());
  const EDMNoiseScheduler s;
  CHECK(MSEDSMLoss(perfect(x64 * 0.5), s)(x64, rng, {}, t).dtype() == DType::f64);
}

TEST_CASE("a VEPreconditioner is made like the others, and a level's place in a table is known") {
  const Tensor x = ones({2, 1, 4, 4});
  const auto ve = nn::make<VEPreconditioner>(perfect(x), VEPreconditionerConfig{});
  CHECK(max(abs(ve(x, ones({2})) - 2.0)).item() == 0);
  const auto iddpm = nn::make<iDDPMPrecond>(
      {.img_resolution = 4, .img_channels = 1, .M = 50, .model = small_unet()});
  CHECK(iddpm->nearest_level(from_vector<float>({1e9F, 0}, {2})).to_vector<int64_t>() ==
        std::vector<int64_t>{0, 50});
}
