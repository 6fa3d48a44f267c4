// What a user may get wrong, and the sentence that tells.

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/predictor.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/schedulers/iddpm.h>
#include <brume/diffusion/schedulers/ve.h>
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
  CHECK(error_of_run({.num_steps = 0}) == "EDMNoiseScheduler: wants at least 2 steps, got 0");
  const IDDPMNoiseScheduler few({.M = 10});
  CHECK(
      error_of([&] { (void)few.timesteps(18); }) ==
      "IDDPMNoiseScheduler: 18 steps want as many levels, but there are 9; raise M or take fewer");
  CHECK(error_of_run({.num_steps = -3}) == "EDMNoiseScheduler: wants at least 2 steps, got -3");
  Generator rng(1);
  NoiseSource noise(rng);
  ChurnOptions churn;
  churn.noise = &noise;
  churn.S_churn = -1;
  CHECK(error_of_run({.solver = EDMStochasticHeunSolver{churn}}) ==
        "EDM stochastic solver: wants num_steps >= 1 and S_churn >= 0, got 18 and -1");
  CHECK(error_of_run({.solver = EDMStochasticEulerSolver{churn}}) ==
        "EDM stochastic solver: wants num_steps >= 1 and S_churn >= 0, got 18 and -1");
  CHECK(error_of_run({.solver = DDIMSolver{.scheduler = &kScheduler, .eta = -1}}) ==
        "DDIMSolver: eta must not be negative, got -1");
  CHECK(error_of_run({.solver = HeunSolver{.alpha = 2}}) ==
        "HeunSolver: alpha must be in (0, 1], got 2");
}

TEST_CASE("times that do not decrease") {
  const auto times = [](const std::vector<float>& t) {
    return error_of_run({.time_steps = from_vector(t, {static_cast<int64_t>(t.size())})});
  };
  CHECK(times({3, 2, 2, 0}) == "sample: time_steps must decrease, but go from 2 to 2 in step 2");
  CHECK(times({1, 2}) == "sample: time_steps must decrease, but go from 1 to 2 in step 1");
  CHECK(error_of_run({.time_steps = ones({1})}) ==
        "sample: time_steps is a list of two times or more, got [1]");
  CHECK(error_of_run({.time_steps = ones({2, 2})}) ==
        "sample: time_steps is a list of two times or more, got [2, 2]");
}

TEST_CASE("batches of x, t and the condition that differ") {
  const Tensor t = ones({3});
  const std::string sizes = "[3] for x of [2, 1, 4, 4]";
  CHECK(error_of([&] { (void)denoiser(kScheduler, {.x0 = same})(two_images(), t); }) ==
        "per_sample: wants one value per sample, got " + sizes);
  Generator rng(1);
  CHECK(error_of([&] { (void)MSEDSMLoss(as_model, kScheduler)(two_images(), rng, {}, t); }) ==
        "per_sample: wants one value per sample, got " + sizes);
  const auto edm = nn::make<EDMPreconditioner>(AnyModel(as_model), EDMPreconditionerConfig{});
  CHECK(error_of([&] { (void)edm(two_images(), t); }) ==
        "preconditioner: wants t of shape [B], got " + sizes);
  CHECK(error_of([&] {
          (void)edm(two_images(), ones({2}), Condition{{"image", ones({3, 1, 4, 4})}});
        }) ==
        "preconditioner: the condition 'image' is [3, 1, 4, 4], but the batch size of x is 2");
  const Denoiser bound = denoiser(kScheduler, {.x0 = bind(edm, ones({3, 5}))});
  CHECK(error_of([&] { (void)sample(bound, two_images(), kScheduler); }) ==
        "preconditioner: the condition is [3, 5], but the batch size of x is 2");
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
}

TEST_CASE("a model that returns another shape") {
  const std::string what = "the model returned [1, 1, 4, 4] for ";
  const auto edm = nn::make<EDMPreconditioner>(AnyModel(one_row), EDMPreconditionerConfig{});
  CHECK(error_of([&] { (void)edm(two_images(), ones({2})); }) ==
        "preconditioner: " + what + "x of [2, 1, 4, 4]");
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
}
