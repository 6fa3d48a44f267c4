// What the samplers cost beside their network: whole runs with a model that returns a stored
// tensor, at unet32_b16's shape, to be held against that row's sampling run; and one prediction of
// a large field by patches, for its memory.

#include <memory>

#include <brume/autograd/mode.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/legacy/samplers.h>
#include <brume/diffusion/multi_diffusion/predictor.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/solvers/edm_stochastic.h>
#include <brume/diffusion/solvers/exponential.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

using namespace diffusion;

// The sampling run of a unet row has as many steps.
constexpr int64_t kSteps = 18;

// What a solver refers to.
struct Surroundings {
  EDMNoiseScheduler scheduler{};
  Generator rng{0};
  NoiseSource noise{rng};
};

// A step is the printed time over 18.
template <class MakeSolver>
Row sampler(const std::string& name, DenoisingType type, MakeSolver make_solver) {
  return {cat("sampler18_", name, "_b16"), [=] {
            const auto around = std::make_shared<Surroundings>();
            const Tensor stored = values({16, 3, 32, 32}, Layout::channels_last);
            const Solver solver = make_solver(*around);
            const Denoiser predicts = denoiser(
                around->scheduler,
                {.x0 = [stored](const Tensor&, const Tensor&) { return stored; }, .type = type});
            return Work{.step = [=] {
              const NoGrad no_grad;
              (void)sample(predicts, stored, around->scheduler,
                           {.num_steps = kSteps, .solver = solver});
            }};
          }};
}

// The older samplers, which take the network itself.
template <class Sampler>
Row legacy_sampler(const std::string& name, Sampler run) {
  return {cat("sampler18_", name, "_b16"), [=] {
            const auto around = std::make_shared<Surroundings>();
            const Tensor stored = values({16, 3, 32, 32}, Layout::channels_last);
            const AnyModel net = [stored](const Tensor&, const Tensor&, const Condition&) {
              return stored;
            };
            return Work{.step = [=] {
              const NoGrad no_grad;
              (void)run(net, stored, around->noise);
            }};
          }};
}

Row patches() {
  return {"patches64_of_1024", [] {
            constexpr int64_t kSize = 1024;
            const auto net = nn::make<SongUNetAdapter>({.img_resolution = 64,
                                                        .in_channels = 1,
                                                        .out_channels = 1,
                                                        .model_channels = 16,
                                                        .channel_mult = {1, 2},
                                                        .num_blocks = 1,
                                                        .attn_resolutions = {},
                                                        .dropout = 0});
            const auto model = nn::make<MultiDiffusionModel2D>(
                AnyModel(nn::make<EDMPreconditioner>({.model = net})),
                MultiDiffusionModel2DConfig{.global_spatial_shape = {kSize, kSize}});
            model->eval();
            const auto predictor = std::make_shared<MultiDiffusionPredictor>(
                model, MultiDiffusionPredictorOptions{.chunk_size = 16});
            predictor->set_patching(8, 0, {64, 64});
            const Tensor x = values({1, 1, kSize, kSize}), t = ones({1});
            return Work{.step =
                            [=] {
                              const NoGrad no_grad;
                              (void)(*predictor)(x, t);
                            },
                        .params = net->parameter_count()};
          }};
}

}  // namespace

void add_sampler_rows(Rows& rows) {
  constexpr auto kOde = DenoisingType::ode, kX0 = DenoisingType::x0;
  rows.push_back(sampler("euler", kOde, [](Surroundings&) { return EulerSolver{}; }));
  rows.push_back(sampler("heun", kOde, [](Surroundings&) { return HeunSolver{}; }));
  const auto churn = [](Surroundings& s) { return ChurnOptions{.noise = &s.noise, .S_churn = 40}; };
  rows.push_back(sampler("stochastic_euler", kOde,
                         [=](Surroundings& s) { return EDMStochasticEulerSolver{churn(s)}; }));
  rows.push_back(sampler("stochastic_heun", kOde,
                         [=](Surroundings& s) { return EDMStochasticHeunSolver{churn(s)}; }));
  for (const double S_churn : {0.0, 40.0}) {
    const char* churned = S_churn > 0 ? "_churn" : "";
    rows.push_back(legacy_sampler(
        cat("deterministic_sampler", churned), [=](const auto& net, const Tensor& x, auto& noise) {
          return deterministic_sampler(net, x, {}, noise, {.S_churn = S_churn});
        }));
    rows.push_back(legacy_sampler(
        cat("stochastic_sampler", churned), [=](const auto& net, const Tensor& x, auto& noise) {
          return stochastic_sampler(net, x, {}, noise, {.S_churn = S_churn});
        }));
  }
  rows.push_back(
      sampler("ddim", kX0, [](Surroundings& s) { return DDIMSolver{.scheduler = &s.scheduler}; }));
  rows.push_back(sampler(
      "dpm", kX0, [](Surroundings& s) { return DPMSolverPlusPlus({.scheduler = &s.scheduler}); }));
  rows.push_back(sampler("unipc", kX0,
                         [](Surroundings& s) { return UniPCSolver({.scheduler = &s.scheduler}); }));
  rows.push_back(patches());
}

}  // namespace brume::bench
