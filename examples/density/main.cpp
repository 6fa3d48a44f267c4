// A FullyConnected network learns the score of a density on the plane that is known exactly.

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/plot.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/operator_adapters.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/nn/serialize.h>
#include <brume/nn/training/fit.h>

#include "examples/density/mixture.h"

namespace {

using namespace brume;
using density::SpiralArms;

struct Options {
  int64_t batch_size = 1024, judged = 8192, seed = 1;
  nn::FitOptions fit{.steps = 6000, .lr = 3e-3, .report_steps = 500};
  double at_most = HUGE_VAL;  // error at any noise level to pass
  std::string out = "runs/density";
};

Tensor arms(int64_t n, Generator& rng) { return random_integers({n}, 0, 2, rng); }

// The condition of the network: one-hot rows.
Tensor as_condition(const Tensor& arm) {
  const Tensor second = convert(unsqueeze(arm, 1), DType::f32);
  return cat({1.0 - second, second}, 1);
}

// The network behind (x, t, condition): 2 numbers of x, 16 of t, 2 of the condition.
auto make_model(double sigma_data) {
  const auto net = nn::make<diffusion::FullyConnectedAdapter>(
      {.net = {.in_features = 2 + 16 + 2, .layer_size = 128, .out_features = 2, .num_layers = 4},
       .time_channels = 16});
  return nn::make<diffusion::EDMPreconditioner>({.model = net, .sigma_data = sigma_data});
}

// Root mean square error of the learned score over the exact score's root mean square, where the
// density with this much noise has its mass.
double score_error(const SpiralArms& density, const diffusion::AnyModel& model,
                   const diffusion::EDMNoiseScheduler& noise, double sigma, int64_t count,
                   Generator& rng) {
  const Tensor arm = arms(count, rng), t = full({count}, sigma);
  const Tensor x = noise.add_noise(density.draw(arm, rng), t, rng);
  const Tensor exact = density.score(x, t, arm);
  const Tensor learned = noise.x0_to_score(model(x, t, as_condition(arm)), x, t);
  return std::sqrt(mean(square(learned - exact)).item() / mean(square(exact)).item());
}

Tensor draw(const diffusion::AnyModel& model, const diffusion::EDMNoiseScheduler& noise,
            const Tensor& arm, Generator& rng) {
  const int64_t n = arm.size(0);
  diffusion::NoiseSource source(rng);
  const Tensor first = expand(slice(noise.timesteps(32), 0, 0, 1), {n});
  const diffusion::Predictor x0 = diffusion::bind(model, as_condition(arm));
  return diffusion::sample(diffusion::denoiser(noise, {.x0 = x0}),
                           noise.init_latents({n, 2}, first, source), noise, {.num_steps = 32});
}

io::PlotLine cloud(const std::string& name, const Tensor& x) {
  return {.name = name,
          .x = select(x, 1, 0).to_vector<double>(),
          .y = select(x, 1, 1).to_vector<double>(),
          .dots = true};
}

void run(Options o) {
  Generator rng(static_cast<uint64_t>(o.seed));
  const SpiralArms density;
  const nn::Construction weights(rng);
  const auto model = make_model(density.standard_deviation());
  const diffusion::EDMNoiseScheduler noise(
      {.sigma_max = 20, .sigma_data = density.standard_deviation(), .P_mean = -1.6, .P_std = 1.6});
  const diffusion::MSEDSMLoss loss(model, noise);
  o.fit.on_report = [](int64_t step, double value) {
    std::printf("step %5lld  loss %.4f\n", static_cast<long long>(step), value);
  };
  nn::fit(*model, o.fit, [&] {
    const Tensor arm = arms(o.batch_size, rng);
    return loss(density.draw(arm, rng), rng, as_condition(arm));
  });

  const NoGrad no_grad;
  io::PlotLine line{.name = "relative error of the score", .x = {}, .y = {}};
  for (const double sigma : {0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0}) {
    line.x.push_back(sigma);
    line.y.push_back(score_error(density, model, noise, sigma, o.judged, rng));
    std::printf("sigma %5.2f  relative error of the score %.4f\n", sigma, line.y.back());
  }
  io::make_folders(o.out);
  nn::save(*model, io::join_path(o.out, "model.safetensors"));
  io::write_plot(io::join_path(o.out, "score.png"), {line},
                 {.title = "learned score against the exact one",
                  .x_label = "sigma",
                  .y_label = "relative error",
                  .log_x = true,
                  .log_y = true});
  const Tensor first = zeros({o.judged / 2}, {.dtype = DType::i64});
  io::write_plot(io::join_path(o.out, "samples.png"),
                 {cloud("class 0", draw(model, noise, first, rng)),
                  cloud("class 1", draw(model, noise, first + 1, rng))},
                 {.title = "samples of each class",
                  .x_label = "x",
                  .y_label = "y",
                  .width = 640,
                  .height = 640});
  for (const double error : line.y)
    check<Error>(error <= o.at_most, "an error is above ", o.at_most);
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  Options o;
  CLI::App app("A FullyConnected network learns a known score");
  app.add_option("--steps", o.fit.steps, "of training")->capture_default_str();
  app.add_option("--judged", o.judged, "points for each figure")->capture_default_str();
  app.add_option("--seed", o.seed, "of everything")->capture_default_str();
  app.add_option("--at-most", o.at_most, "error at any noise; fail above");
  app.add_option("--out", o.out, "folder for model and pictures")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_density: %s\n", error.what());
    return 1;
  }
}
