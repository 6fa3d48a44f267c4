// Trains a model of one's own inside the library's preconditioner, saves both in one file, and
// loads them from it. Data are points on a circle.

#include <cmath>
#include <cstdio>
#include <numbers>

#include <CLI/CLI.hpp>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/nn/optim/adam.h>

#include "examples/own_model/wave_denoiser.h"

namespace {

using namespace brume;

constexpr double kRadius = 0.7;

Tensor points_on_circle(int64_t count, Generator& rng) {
  const Tensor angle = uniform({count, 1}, rng) * (2 * std::numbers::pi);
  return kRadius * cat({cos(angle), sin(angle)}, 1);
}

double mean_distance_to_circle(const Tensor& x) {
  return mean(abs(sqrt(sum(square(x), 1)) - kRadius)).item();
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  CLI::App app("A model of one's own: trained, saved and loaded by its name");
  int64_t steps = 2000;
  std::string path = "own_model.safetensors";
  app.add_option("--steps", steps, "training steps");
  app.add_option("--out", path, "file of the model");
  CLI11_PARSE(app, argc, argv);

  own_model::register_wave_denoiser();
  const diffusion::EDMNoiseScheduler scheduler;
  Generator rng(1);
  const nn::Construction from_seed(rng);
  const auto net = nn::make<diffusion::EDMPreconditioner>(
      {.model = nn::make<own_model::WaveDenoiser>({.features = 2})});
  diffusion::MSEDSMLoss loss(net, scheduler);
  nn::Adam optimizer(net->parameters(), {.lr = 1e-3});
  for (int64_t step = 0; step < steps; ++step) {
    const Tensor value = loss(points_on_circle(256, rng), rng);
    optimizer.zero_grad();
    backward(value);
    optimizer.step();
  }
  nn::save(*net, path);

  const NoGrad no_grad;
  const diffusion::AnyModel loaded = diffusion::load(path);
  const auto denoise = diffusion::denoiser(scheduler, {.x0 = diffusion::bind(loaded)});
  const Tensor x = diffusion::sample(denoise, 80 * normal({512, 2}, rng), scheduler);
  std::printf("%s: samples lie %.3f from the circle of radius %.1f on average\n", path.c_str(),
              mean_distance_to_circle(x), kRadius);
  return 0;
}
