// A Fourier neural operator learns the pressure that a permeability causes.

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/png.h>
#include <brume/nn/data/loader.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/serialize.h>
#include <brume/nn/training/fit.h>

#include "examples/darcy/permeability.h"
#include "examples/darcy/solver.h"

namespace {

using namespace brume;

constexpr int64_t kPoints = 64;

struct Options {
  int64_t samples = 1024, held_out = 128, batch_size = 8, seed = 1;
  nn::FitOptions fit{.steps = 2000, .lr = 4e-3, .weight_decay = 1e-4};
  double at_most = HUGE_VAL;  // percent of error to pass
  std::string out = "runs/darcy";
};

// Channel 0 is the logarithm of the permeability, channel 1 the pressure. Both have sizes around 1:
// the first by construction, the second because it is divided by its root mean square.
struct Fields {
  Tensor x;  // f32 [B, 2, N, N]
  Tensor permeability() const { return slice(x, 1, 0, 1); }
  Tensor pressure() const { return slice(x, 1, 1, 2); }
};

Fields make_fields(int64_t samples, Generator& rng) {
  const Tensor log_k = darcy::log_permeability(samples, kPoints, rng);
  const Tensor p = darcy::solve(exp(log_k));
  constexpr double kTypicalPressure = 0.05;
  return {convert(stack({log_k, p / kTypicalPressure}, 1), DType::f32)};
}

// |p - q| / |q| of each sample, as 2-norms over the square. @shape [B, 1, N, N] -> [B]
Tensor relative_error(const Tensor& p, const Tensor& q) {
  return vector_norm(p - q, 2, {1, 2, 3}) / vector_norm(q, 2, {1, 2, 3});
}

void draw(const std::string& path, const Fields& some, const Tensor& learned) {
  const Tensor truth = some.pressure(), most = max(truth);
  const Tensor row = stack(
      {some.permeability() / 3.0, truth / most, learned / most, (learned - truth) / most * 20.0},
      1);
  io::write_png_grid(path, reshape(row, {-1, 1, kPoints, kPoints}),
                     {.columns = 4, .scale = 2, .colours = io::Colours::blue_red});
}

void run(Options o) {
  Generator rng(static_cast<uint64_t>(o.seed));
  std::printf("solving %lld samples\n", static_cast<long long>(o.samples + o.held_out));
  const Fields train = make_fields(o.samples, rng), held_out = make_fields(o.held_out, rng);

  const nn::Construction weights(rng);
  const auto net = nn::make<nn::FNO>({.in_channels = 1,
                                      .out_channels = 1,
                                      .decoder_layer_size = 64,
                                      .latent_channels = 16,
                                      .num_fno_modes = 12});
  nn::Loader loader(std::make_shared<nn::ArrayDataset>(train.x),
                    {.batch_size = o.batch_size, .seed = rng.seed()});
  o.fit.on_report = [](int64_t step, double loss) {
    std::printf("step %5lld  relative error %.4f\n", static_cast<long long>(step), loss);
  };
  nn::fit(*net, o.fit, [&] {
    const Fields batch{loader.next().x};
    return mean(relative_error(net(batch.permeability()), batch.pressure()));
  });

  const NoGrad no_grad;
  const Tensor learned = net(held_out.permeability());
  const Tensor errors = relative_error(learned, held_out.pressure());
  const double error = 100 * mean(errors).item();
  std::printf("relative L2 error on %lld held-out samples: mean %.2f %%, worst %.2f %%\n",
              static_cast<long long>(o.held_out), error, 100 * max(errors).item());
  io::make_folders(o.out);
  nn::save(*net, io::join_path(o.out, "fno.safetensors"));
  const int64_t shown = std::min<int64_t>(4, o.held_out);
  draw(io::join_path(o.out, "darcy.png"), {slice(held_out.x, 0, 0, shown)},
       slice(learned, 0, 0, shown));
  check<Error>(error <= o.at_most, "the error is above ", o.at_most, " %");
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  Options o;
  CLI::App app("A Fourier neural operator on Darcy flow");
  app.add_option("--samples", o.samples, "to train on")->capture_default_str();
  app.add_option("--held-out", o.held_out, "to judge by")->capture_default_str();
  app.add_option("--steps", o.fit.steps, "of training")->capture_default_str();
  app.add_option("--seed", o.seed, "of everything")->capture_default_str();
  app.add_option("--at-most", o.at_most, "percent of error; fail above");
  app.add_option("--out", o.out, "folder for model and picture")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_darcy: %s\n", error.what());
    return 1;
  }
}
