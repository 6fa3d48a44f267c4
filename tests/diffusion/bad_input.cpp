// What a user may get wrong, and the sentence that tells.

#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/backbones.h>
#include <brume/diffusion/ensemble.h>
#include <brume/diffusion/guidance.h>
#include <brume/diffusion/legacy/generate.h>
#include <brume/diffusion/legacy/losses.h>
#include <brume/diffusion/legacy/preconditioners.h>
#include <brume/diffusion/legacy/samplers.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/predictor.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/schedulers/iddpm.h>
#include <brume/diffusion/schedulers/ve.h>
#include <brume/diffusion/schedulers/vp.h>
#include <brume/diffusion/solvers/edm_stochastic.h>
#include <brume/diffusion/solvers/exponential.h>

#include "tests/error_of.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

const EDMNoiseScheduler kScheduler;
Tensor two_images() { return ones({2, 1, 4, 4}); }

Tensor same(const Tensor& x, const Tensor&) { return x; }
Tensor as_model(const Tensor& x, const Tensor&, const Condition&) { return x; }
Tensor one_row(const Tensor& x, const Tensor&, const Condition&) { return slice(x, 0, 0, 1); }

std::string error_of_run(const SampleOptions& options) {
  return error_of(
      [&] { (void)sample(denoiser(kScheduler, {.x0 = same}), two_images(), kScheduler, options); });
}

}  // namespace

TEST_CASE("ranges of noise, steps and churn") {
  CHECK(error_of([] { EDMNoiseScheduler({.sigma_min = 2, .sigma_max = 2}); }) ==
        "EDMNoiseScheduler: wants 0 < sigma_min < sigma_max, got 2 and 2");
  CHECK(error_of_run({.num_steps = 0}) == "sample: wants 1 to 1000000 steps, got 0");
  const IDDPMNoiseScheduler few({.M = 10});
  CHECK(
      error_of([&] { (void)few.timesteps(18); }) ==
      "IDDPMNoiseScheduler: 18 steps want as many levels, but there are 9; raise M or take fewer");
  CHECK(error_of_run({.num_steps = -3}) == "sample: wants 1 to 1000000 steps, got -3");
  Generator rng(1);
  NoiseSource noise(rng);
  ChurnOptions churn{.noise = &noise, .S_churn = -1};
  CHECK(error_of_run({.solver = EDMStochasticHeunSolver{churn}}) ==
        "EDM stochastic solver: wants num_steps >= 1 and S_churn >= 0, got 18 and -1");
  CHECK(error_of_run({.solver = EDMStochasticEulerSolver{churn}}) ==
        "EDM stochastic solver: wants num_steps >= 1 and S_churn >= 0, got 18 and -1");
  CHECK(error_of_run({.solver = DDIMSolver{.scheduler = &kScheduler, .eta = -1}}) ==
        "DDIMSolver: eta must be in [0, 1], got -1");
  CHECK(error_of_run({.solver = DDIMSolver{.scheduler = &kScheduler, .eta = 1.5}}) ==
        "DDIMSolver: eta must be in [0, 1], got 1.5");
  CHECK(error_of([] { DPMSolverPlusPlus({.scheduler = &kScheduler, .eta = -1}); }) ==
        "DPMSolverPlusPlus: eta must not be negative, got -1");
  CHECK(error_of_run({.solver = HeunSolver{.alpha = 2}}) ==
        "HeunSolver: alpha must be in (0, 1], got 2");
}

TEST_CASE("ranges without an end, or turned round") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(error_of([] { EDMNoiseScheduler({.sigma_max = kInfinity}); }) ==
        "EDMNoiseScheduler: sigma_max must be finite");
  CHECK(error_of([] { VENoiseScheduler({.sigma_max = kInfinity}); }) ==
        "VENoiseScheduler: sigma_max must be finite");
  CHECK(error_of([] { EDMNoiseScheduler({.rho = kInfinity}); }) ==
        "EDMNoiseScheduler: rho must be positive, got inf");
  CHECK(error_of([] { EDMNoiseScheduler({.sigma_data = kInfinity}); }) ==
        "EDMNoiseScheduler: sigma_data must be positive, got inf");
  CHECK(error_of([] { VPNoiseScheduler({.beta_d = kInfinity}); }) ==
        "VPNoiseScheduler: beta_d and beta_min must be positive, got inf and 0.1");
  Generator rng(1);
  NoiseSource noise(rng);
  ChurnOptions churn{.noise = &noise, .S_noise = -1};
  CHECK(error_of_run({.solver = EDMStochasticEulerSolver{churn}}) ==
        "EDM stochastic solver: S_noise must be 0 or more, got -1");
  churn.S_noise = 1;
  churn.S_min = 5;
  churn.S_max = 2;
  CHECK(error_of_run({.solver = EDMStochasticHeunSolver{churn}}) ==
        "EDM stochastic solver: wants 0 <= S_min <= S_max, got 5 and 2");
  const auto deterministic = [&](const DeterministicSamplerOptions& o) {
    return error_of([&] { (void)deterministic_sampler(as_model, two_images(), {}, noise, o); });
  };
  CHECK(deterministic({.sigma_max = kInfinity}) ==
        "deterministic_sampler: wants 0 < sigma_min < sigma_max within the network's range, got "
        "0.002 and inf");
  CHECK(deterministic({.rho = kInfinity}) ==
        "deterministic_sampler: rho must be positive, got inf");
  CHECK(deterministic({.S_min = 5, .S_max = 2}) ==
        "deterministic_sampler: wants 0 <= S_min <= S_max, got 5 and 2");
  CHECK(deterministic({.S_noise = -1}) ==
        "deterministic_sampler: S_noise must be 0 or more, got -1");
  CHECK(error_of([&] {
          (void)stochastic_sampler(as_model, two_images(), {}, noise, {.S_noise = -1});
        }) == "stochastic_sampler: S_noise must be 0 or more, got -1");
}

TEST_CASE("a condition of another batch is named in sampling, whatever the model looks at") {
  const auto error_with = [](const Condition& condition) {
    return error_of([&] {
      (void)sample(denoiser(kScheduler, {.x0 = bind(AnyModel(ModelCall(as_model)), condition)}),
                   two_images(), kScheduler);
    });
  };
  CHECK(error_with(zeros({5, 3})) == "bind: the condition is [5, 3], but the batch size of x is 2");
  CHECK(error_with({{"label", zeros({5, 3})}}).find("bind: the condition 'label' is [5, 3]") == 0);
  CHECK(error_with(zeros({2, 3})).empty());
  CHECK(error_with(zeros({1, 3})).empty());
  CHECK(error_with(Condition().with_argument("mask", zeros({4, 4}))).empty());
}

TEST_CASE("a denoiser or a solver that is empty, or made for something else") {
  CHECK(error_of([] { (void)sample(Predictor(), two_images(), kScheduler); }) ==
        "sample: the denoiser is empty");
  CHECK(error_of_run({.solver = Solver()}) == "sample: the solver is empty");
  const auto run = [](const Denoiser& d, const Solver& solver,
                      const NoiseScheduler& scheduler = kScheduler) {
    return error_of([&] { (void)sample(d, two_images(), scheduler, {.solver = solver}); });
  };
  const auto of_type = [](DenoisingType type) {
    return denoiser(kScheduler, {.x0 = same, .type = type});
  };
  const std::string ode = "dx/dt of the ODE (DenoisingType::ode)",
                    x0 = "the prediction of x0 (DenoisingType::x0)",
                    how = "; choose its type in denoiser(scheduler, {.type = ...})";
  const auto wants = [&](const std::string& who, const std::string& what, const std::string& got) {
    return cat(who, ": wants ", what, ", but the denoiser gives ", got, how);
  };
  CHECK(run(of_type(DenoisingType::x0), EulerSolver{}) == wants("EulerSolver", ode, x0));
  CHECK(run(of_type(DenoisingType::x0), HeunSolver{}) == wants("HeunSolver", ode, x0));
  CHECK(run(of_type(DenoisingType::ode), DDIMSolver{.scheduler = &kScheduler}) ==
        wants("DDIMSolver", x0, ode));
  CHECK(run(of_type(DenoisingType::ode), DPMSolverPlusPlus({.scheduler = &kScheduler})) ==
        wants("DPMSolverPlusPlus", x0, ode));
  Generator rng(1);
  NoiseSource noise(rng);
  ChurnOptions churn{.noise = &noise};
  const std::string sde = "the drift of the SDE (DenoisingType::sde)";
  CHECK(run(of_type(DenoisingType::sde), EDMStochasticEulerSolver{churn}) ==
        wants("EDM stochastic solver", ode, sde));
  // They would leave out the noise beside the drift.
  CHECK(run(of_type(DenoisingType::sde), EulerSolver{}) == wants("EulerSolver", ode, sde));
  CHECK(run(of_type(DenoisingType::sde), HeunSolver{}) == wants("HeunSolver", ode, sde));

  // Noise levels that a solver would take for another process's.
  const VPNoiseScheduler vp;
  churn.S_churn = 10;
  CHECK(run(denoiser(vp, {.x0 = same}), EDMStochasticHeunSolver{churn}, vp) ==
        "EDM stochastic solver: the noise levels of the denoiser's process are not its times; give "
        "sigma and sigma_inv, such as the scheduler's, and no diffusion, which would count them "
        "twice");
  CHECK(run(denoiser(vp, {.x0 = same}), EDMStochasticEulerSolver{churn}, vp)
            .find("such as the scheduler's, and its diffusion") != std::string::npos);
  CHECK(run(denoiser(vp, {.x0 = same, .type = DenoisingType::x0}),
            UniPCSolver({.scheduler = &kScheduler}), vp) ==
        "UniPCSolver: its scheduler and the denoiser's have other noise levels; give it the "
        "denoiser's");
  CHECK(run(denoiser(vp, {.x0 = same}), EulerSolver{}) ==
        "sample: its scheduler and the denoiser's have other noise levels; give it the denoiser's");
  // Levels that are the times at t = 0.5 alone.
  class Square : public EDMNoiseScheduler {
   public:
    Tensor sigma(const Tensor& t) const override { return square(t) * 2.0; }
    Tensor sigma_dot(const Tensor& t) const override { return t * 4.0; }
  };
  const Square other;
  const EDMNoiseScheduler again;
  CHECK(run(denoiser(other, {.x0 = same}), EDMStochasticHeunSolver{churn}, other)
            .starts_with("EDM stochastic solver: the noise levels of the denoiser's process"));
  CHECK(run(denoiser(other, {.x0 = same, .type = DenoisingType::x0}),
            DDIMSolver{.scheduler = &kScheduler}, other)
            .starts_with("DDIMSolver: its scheduler and the denoiser's have other noise levels"));
  CHECK(run(denoiser(again, {.x0 = same}), EulerSolver{}).empty());
  // Any other callable is taken as it is.
  CHECK(run(Denoiser(same), DDIMSolver{.scheduler = &kScheduler}).empty());
}

TEST_CASE("older preconditioners: ranges, a missing image, and batches that differ") {
  nn::SongUNetConfig small;
  small.label_dim = 3;
  small.model_channels = 4;
  small.channel_mult = {1};
  small.num_blocks = 1;
  small.attn_resolutions = {};
  CHECK(error_of([&] {
          VEPrecond({.img_resolution = 8, .img_channels = 1, .sigma_min = 2, .sigma_max = 1});
        }) == "VEPrecond: wants 0 <= sigma_min < sigma_max, got 2 and 1");
  const EDMPrecondSuperResolution net(
      {.img_resolution = 4, .img_in_channels = 2, .img_out_channels = 1, .model = small});
  const auto fails = [&](const Tensor& sigma, const Condition& c) {
    return error_of([&] { (void)net(two_images(), sigma, c); });
  };
  CHECK(fails(ones({2}), {}) ==
        "EDMPrecondSuperResolution: wants an image of 2 channels as condition 'img_lr' beside x of "
        "[2, 1, 4, 4]");
  CHECK(fails(ones({2}), {{"img_lr", ones({3, 2, 4, 4})}}) ==
        "EDMPrecondSuperResolution: 'img_lr' of [3, 2, 4, 4] does not fit x of [2, 1, 4, 4]; all "
        "axes but the channels must agree");
  CHECK(fails(ones({3}), {{"img_lr", ones({2, 2, 4, 4})}}) ==
        "EDMPrecondSuperResolution: wants one sigma for all or one for each sample, got [3] for x "
        "of [2, 1, 4, 4]");
  CHECK(
      fails(ones({2}), {{"img_lr", ones({2, 2, 4, 4})}, {"class_labels", ones({3, 3})}}) ==
      "EDMPrecondSuperResolution: the condition 'class_labels' is [3, 3], but the batch size of x "
      "is 2; what is no sample's joins by with_argument");
  CHECK(fails(ones({1}), {{"img_lr", ones({2, 2, 4, 4})}, {"class_labels", ones({2, 3})}}).empty());
}

TEST_CASE("a weight of the loss that is larger than the data") {
  Generator rng(1);
  const WeightedMSEDSMLoss loss(as_model, kScheduler);
  CHECK(error_of([&] {
          (void)loss(two_images(), ones({3, 2, 1, 4, 4}), rng);
        }) ==
        "WeightedMSEDSMLoss: the weight of [3, 2, 1, 4, 4] does not fit data of [2, 1, 4, 4]");
  CHECK(error_of([&] { (void)loss(two_images(), ones({4, 4}), rng); }).empty());
}

TEST_CASE("data scales of other channels than the data's, and a to_x0 of another shape or no use") {
  Generator rng(1);
  const EDMNoiseScheduler three({.sigma_data = std::vector<double>{0.5, 1, 2}});
  const MSEDSMLoss loss(as_model, three);
  const WeightedMSEDSMLoss weighted(as_model, three);
  const std::string wrong =
      "MSEDSMLoss: the scheduler's loss_weight of [2, 3, 1, 1] does not fit data of "
      "[2, 1, 4, 4]; sigma_data is one number, or one for each channel";
  CHECK(error_of([&] { (void)loss(two_images(), rng); }) == wrong);
  CHECK(error_of([&] { (void)weighted(two_images(), two_images(), rng); }) == wrong);
  CHECK(error_of([&] {
          (void)loss(ones({3}), rng);
        }).starts_with("MSEDSMLoss: the scheduler's loss_weight of [3, 3] does not fit data"));
  CHECK_FALSE(error_of([&] { (void)loss(ones({2, 2, 4, 4}), rng); }).empty());
  CHECK(error_of([&] { (void)loss(ones({2, 3, 4, 4}), rng); }).empty());
  const auto first = [](const Tensor& y, const Tensor&, const Tensor&) {
    return slice(y, 0, 0, 1);
  };
  const MSEDSMLoss narrow(as_model, kScheduler,
                          {.prediction_type = PredictionType::epsilon, .to_x0 = first});
  CHECK(error_of([&] { (void)narrow(two_images(), rng); }) ==
        "MSEDSMLoss: to_x0 returned [1, 1, 4, 4] for data of [2, 1, 4, 4]");
  CHECK(error_of([&] { MSEDSMLoss(as_model, kScheduler, {.to_x0 = first}); }) ==
        "MSEDSMLoss: to_x0 is for a score, epsilon or v prediction; give the prediction_type");
  const auto patches = nn::make<MultiDiffusionModel2D>(
      AnyModel(as_model), MultiDiffusionModel2DConfig{.global_spatial_shape = {4, 4}});
  CHECK(error_of([&] { MultiDiffusionPredictor(patches, {.to_x0 = first}); }) ==
        "MultiDiffusionPredictor: to_x0 is for a score, epsilon or v prediction; give the "
        "prediction_type");
  MultiDiffusionPredictor predictor(patches,
                                    {.prediction_type = PredictionType::epsilon, .to_x0 = first});
  predictor.set_patching(0, 0, {2, 2});
  CHECK(error_of([&] { (void)predictor(two_images(), ones({2})); }) ==
        "MultiDiffusionPredictor: to_x0 returned [1, 1, 2, 2] for patches of [8, 1, 2, 2]");
}

TEST_CASE("times that do not decrease") {
  const auto times = [](const std::vector<float>& t) {
    return error_of_run({.time_steps = from_vector(t, {static_cast<int64_t>(t.size())})});
  };
  CHECK(times({3, 2, 2, 0}) ==
        "sample: time_steps must decrease, but go from 2 to 2 in step 2 (in f32)");
  CHECK(error_of_run({.time_steps = from_vector(std::vector<double>{1, 1 - 1e-11, 0}, {3})}) ==
        "sample: time_steps must decrease, but go from 1 to 1 in step 1 (in f32)");
  CHECK(times({1, 2}) == "sample: time_steps must decrease, but go from 1 to 2 in step 1");
  CHECK(times({1, 0, -1}) == "sample: times must not be negative, but time_steps end at -1");
  CHECK(error_of_run({.time_steps = ones({1})}) ==
        "sample: time_steps are a list of two times or more, got [1]");
  CHECK(error_of_run({.time_steps = ones({2, 2})}) ==
        "sample: time_steps are a list of two times or more, got [2, 2]");
  CHECK(times({std::numeric_limits<float>::infinity(), 1, 0}) ==
        "sample: time_steps must be finite, but time 0 is inf");
  CHECK(times({1, std::numeric_limits<float>::quiet_NaN()}) ==
        "sample: time_steps must be finite, but time 1 is nan");
  // Two times of f64, one of f32.
  CHECK(error_of_run({.time_steps = from_vector<double>({1, 1 - 1e-12, 0}, {3})}) ==
        "sample: time_steps must decrease, but go from 1 to 1 in step 1 (in f32)");
}

TEST_CASE("a scheduler whose times are no way down") {
  struct Times final : EDMNoiseScheduler {
    explicit Times(Tensor t) : times(std::move(t)) {}
    Tensor timesteps(int64_t, TensorOptions) const override { return times; }
    Tensor times;
  };
  const auto run = [](const Tensor& times) {
    const Times scheduler(times);
    return error_of(
        [&] { (void)sample(denoiser(scheduler, {.x0 = same}), two_images(), scheduler); });
  };
  const std::string who = "sample: the scheduler's timesteps(18) ";
  CHECK(run(zeros({1})) == who + "are a list of two times or more, got [1]");
  CHECK(run({}) == who + "are a list of two times or more, got none");
  CHECK(run(from_vector<float>({1, 2, 0}, {3})) ==
        who + "must decrease, but go from 1 to 2 in step 1");
  CHECK(run(from_vector<float>({1, std::numeric_limits<float>::quiet_NaN(), 0}, {3})) ==
        who + "must be finite, but time 1 is nan");
  CHECK(run(from_vector<float>({2, 1, -1}, {3})) ==
        "sample: times must not be negative, but the scheduler's timesteps(18) end at -1");
  CHECK(run(from_vector<float>({2, 1, 0}, {3})).empty());
}

TEST_CASE("batches of x, t and the condition that differ") {
  const Tensor t = ones({3});
  const std::string sizes = "wants t of one value per sample, got [3] for x of [2, 1, 4, 4]";
  CHECK(error_of([&] { (void)denoiser(kScheduler, {.x0 = same})(two_images(), t); }) ==
        "denoiser: " + sizes);
  Generator rng(1);
  NoiseSource noise(rng);
  CHECK(error_of([&] {
          (void)kScheduler.init_latents({2, 1, 4, 4}, t, noise);
        }) == "init_latents: " + sizes);
  CHECK(error_of([&] { (void)per_sample(t, two_images()); }) == "per_sample: " + sizes);
  CHECK(error_of([&] {
          (void)MSEDSMLoss(as_model, kScheduler)(two_images(), rng, ones({5, 3}));
        }) == "MSEDSMLoss: the condition is [5, 3], but the batch size of x is 2");
  CHECK(error_of([&] { (void)MSEDSMLoss(as_model, kScheduler)(two_images(), rng, {}, t); }) ==
        "MSEDSMLoss: " + sizes);
  const auto edm = nn::make<EDMPreconditioner>(AnyModel(as_model), EDMPreconditionerConfig{});
  CHECK(error_of([&] { (void)edm(two_images(), t); }) == "EDMPreconditioner: " + sizes);
  CHECK(error_of([&] {
          (void)edm(two_images(), ones({2}), Condition{{"image", ones({3, 1, 4, 4})}});
        }) ==
        "EDMPreconditioner: the condition 'image' is [3, 1, 4, 4], but the batch size of x is 2; "
        "what is no sample's joins by with_argument");
  const Denoiser bound = denoiser(kScheduler, {.x0 = bind(edm, ones({3, 5}))});
  CHECK(error_of([&] { (void)sample(bound, two_images(), kScheduler); }) ==
        "bind: the condition is [3, 5], but the batch size of x is 2");
}

TEST_CASE("a condition that lacks a key") {
  const auto wrapped =
      nn::make<ConcatConditionWrapper>({.model = nn::make<nn::SongUNet>({.img_resolution = 4,
                                                                         .in_channels = 2,
                                                                         .out_channels = 1,
                                                                         .model_channels = 4,
                                                                         .channel_mult = {1},
                                                                         .num_blocks = 1,
                                                                         .attn_resolutions = {}})});
  CHECK(error_of([&] {
          (void)wrapped(two_images(), ones({2}), Condition{{"image", two_images()}});
        }) == "ConcatConditionWrapper: the condition has neither 'cond_concat' nor 'cond_vec'");
  CHECK(error_of([&] {
          (void)wrapped(two_images(), ones({2}),
                        Condition{{"cond_concat", two_images()}, {"mask", two_images()}});
        }) == "SongUNet: takes no condition 'mask'; it takes 'class_labels', 'augment_labels'");
}

TEST_CASE("a model that returns another shape") {
  const std::string what = "the model returned [1, 1, 4, 4] for ";
  const auto edm = nn::make<EDMPreconditioner>(AnyModel(one_row), EDMPreconditionerConfig{});
  CHECK(error_of([&] { (void)edm(two_images(), ones({2})); }) ==
        "EDMPreconditioner: " + what + "x of [2, 1, 4, 4]");
  Generator rng(1);
  CHECK(error_of([&] { (void)MSEDSMLoss(one_row, kScheduler)(two_images(), rng); }) ==
        "MSEDSMLoss: " + what + "data of [2, 1, 4, 4]");
  const auto run = [](DenoisingType type, const Solver& solver) {
    return error_of([&] {
      (void)sample(denoiser(kScheduler, {.x0 = bind(one_row), .type = type}), two_images(),
                   kScheduler, {.solver = solver});
    });
  };
  CHECK(run(DenoisingType::ode, EulerSolver{}) ==
        "denoiser: the predictor returned [1, 1, 4, 4] for x of [2, 1, 4, 4]");
  CHECK(run(DenoisingType::x0, UniPCSolver({.scheduler = &kScheduler}))
            .ends_with("[1, 1, 4, 4] for x of [2, 1, 4, 4]"));
  const auto patches = nn::make<MultiDiffusionModel2D>(
      AnyModel(one_row), MultiDiffusionModel2DConfig{.global_spatial_shape = {4, 4}});
  MultiDiffusionPredictor predictor(patches);
  predictor.set_patching(0, 0, {2, 2});
  CHECK(error_of([&] { (void)predictor(two_images(), ones({2})); }) ==
        "MultiDiffusionPredictor: the model returned [1, 1, 2, 2] for patches of [8, 1, 2, 2]");
  patches->set_random_patching({2, 2}, 3, rng);
  CHECK(error_of([&] { (void)(*patches)(two_images(), ones({2})); }) ==
        "MultiDiffusionModel2D: the model returned [1, 1, 2, 2] for patches of [6, 1, 2, 2]");
}

TEST_CASE("what is called is there, and numbers are numbers") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(error_of([] { (void)guided({}, same, {.scale = 2}); }) ==
        "guided: wants two predictors, but the wanted one is empty");
  CHECK(error_of([] { (void)guided(same, {}, {}); }) ==
        "guided: wants two predictors, but the unwanted one is empty");
  CHECK(error_of([&] { (void)guided(same, same, {.scale = nan}); }) ==
        "guided: scale must be a finite number, got nan");
  const std::vector<uint64_t> seeds{1, 2};
  CHECK(error_of([&] { (void)write_ensemble("nowhere.npy", seeds, {}); }) ==
        "write_ensemble: draw is empty");
  const LegacySamplerInputs image{.img_lr = ones({1, 1, 4, 4})};
  CHECK(error_of([&] { (void)diffusion_step({}, 1, {seeds}, image); }) ==
        "diffusion_step: the sampler is empty");
  const EnsembleSampler echo = [](const Tensor& x, const LegacySamplerInputs&, NoiseSource&) {
    return x;
  };
  CHECK(error_of([&] { (void)diffusion_step(echo, 0, {seeds}, image); }) ==
        "diffusion_step: wants at least 1 channel, got 0");
  CHECK(error_of([&] { EDMNoiseScheduler({.P_mean = nan}); }) ==
        "EDMNoiseScheduler: P_mean must be finite, got nan");
  CHECK(error_of([&] { EDMLoss({.P_mean = nan}); }) == "EDMLoss: P_mean must be finite, got nan");
}

TEST_CASE("a labelled network is bound as it is, and guidance without labels says what it wants") {
  const auto net = nn::make<nn::SongUNet>({.img_resolution = 4,
                                           .in_channels = 1,
                                           .out_channels = 1,
                                           .label_dim = 3,
                                           .model_channels = 4,
                                           .channel_mult = {1},
                                           .num_blocks = 1,
                                           .attn_resolutions = {}});
  net->eval();
  const Tensor labels = ones({2, 3}), none = zeros({2, 3}), t = ones({2});
  CHECK(bind(net, labels)(two_images(), t).shape() == Shape{2, 1, 4, 4});
  CHECK(classifier_free_guidance(net, labels, {.scale = 0}, none)(two_images(), t)
            .to_vector<float>() == bind(net, none)(two_images(), t).to_vector<float>());
  CHECK(error_of([&] {
          (void)classifier_free_guidance(net, labels, {.scale = 2})(two_images(), t);
        }) == "SongUNet: label_dim is 3, so class_labels are needed: [2, 3], zeros for no class");
}

TEST_CASE("an empty batch of images to cut, and noise of another batch than the seeds") {
  const auto patches = nn::make<MultiDiffusionModel2D>(
      AnyModel(as_model), MultiDiffusionModel2DConfig{.global_spatial_shape = {4, 4}});
  for (const bool fuse : {true, false}) {
    MultiDiffusionPredictor predictor(patches, {.fuse = fuse});
    predictor.set_patching(0, 0, {2, 2});
    CHECK(error_of([&] {
            (void)predictor(zeros({0, 1, 4, 4}), zeros({0}));
          }) ==
          "MultiDiffusionPredictor: wants x [B, C, H, W] of at least one image and t [B], got "
          "[0, 1, 4, 4] and [0]");
  }
  const std::vector<uint64_t> seeds{1, 2, 3};
  NoiseSource noise(seeds);
  ChurnOptions churn{.noise = &noise};
  for (const double amount : {0, 10}) {  // without churn nothing is drawn
    churn.S_churn = amount;
    CHECK(error_of_run({.solver = EDMStochasticHeunSolver{churn}}) ==
          "NoiseSource: has 3 seeds, asked for a batch of shape [2, 1, 4, 4]");
  }
}
