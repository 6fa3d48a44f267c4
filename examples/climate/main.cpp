// Super-resolution of climate fields in CorrDiff's two steps: a regression of the mean, and
// diffusion of what it leaves, judged on years of another scenario.

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/png.h>
#include <brume/diffusion/legacy/corrdiff_losses.h>
#include <brume/diffusion/legacy/generate.h>
#include <brume/diffusion/legacy/preconditioners.h>
#include <brume/diffusion/metrics.h>
#include <brume/nn/models/regression_unet.h>
#include <brume/nn/training/fit.h>

#include "examples/climate/fields.h"

namespace {

using namespace brume;
using namespace brume::climate;
using diffusion::AnyModel;

struct Options {
  std::string data = "data", out = "runs/climate";
  int64_t steps = 500, batch_size = 8, years = 25, members = 16, seed = 1;
  double at_most = HUGE_VAL;  // CRPS of the ensemble over that of the regression, to pass
};

constexpr int64_t kFirstYear = 1860;  // of the files
constexpr int64_t kHeldOut = 140;     // from this year on the two scenarios differ

nn::SongUNetConfig small_unet() {
  return {.model_channels = 16,
          .channel_mult = {1, 2},
          .num_blocks = 1,
          .attn_resolutions = {},
          .dropout = 0.1};
}

// Inputs and targets of some years.
struct Pairs {
  Tensor inputs, targets;
  Pairs draw(int64_t count, Generator& rng) const {
    const Tensor which = random_integers({count}, 0, inputs.size(0), rng);
    return {index_select(inputs, 0, which), index_select(targets, 0, which)};
  }
};

nn::FitOptions fit_options(const char* name, const Options& o) {
  return {.steps = o.steps, .lr = 2e-3, .on_report = [name](int64_t step, double loss) {
            std::printf("%s, step %lld: loss %.4f\n", name, static_cast<long long>(step), loss);
          }};
}

auto train_regression(const Pairs& data, const Options& o, Generator& rng) {
  const auto net = nn::make<nn::CorrDiffRegressionUNet>({.img_resolution = {36, 48},
                                                         .img_in_channels = 2,
                                                         .img_out_channels = 1,
                                                         .model = small_unet()});
  nn::fit(*net, fit_options("regression", o), [&] {
    const Pairs batch = data.draw(o.batch_size, rng);
    return mean(diffusion::RegressionLoss()(AnyModel(net), batch.targets, batch.inputs));
  });
  net->freeze();
  return net;
}

double deviation_left(const AnyModel& regression, const Pairs& data) {
  const NoGrad no_grad;
  const Tensor none = zeros_like(data.targets), t = zeros({none.size(0)});
  return std::sqrt(mean(square(data.targets - regression(none, t, data.inputs))).item());
}

auto train_diffusion(const AnyModel& regression, const Pairs& data, const Options& o,
                     Generator& rng) {
  const double deviation = deviation_left(regression, data);
  std::printf("what the regression leaves: %.3f of the detail's standard deviation\n", deviation);
  // The mean stands before the two inputs.
  const auto net = nn::make<diffusion::EDMPrecondSuperResolution>({.img_resolution = {36, 48},
                                                                   .img_in_channels = 3,
                                                                   .img_out_channels = 1,
                                                                   .model = small_unet(),
                                                                   .sigma_data = deviation,
                                                                   .sigma_min = 0.004 * deviation,
                                                                   .sigma_max = 100 * deviation});
  const diffusion::ResidualLoss loss(regression, {.P_mean = std::log(deviation) - 0.5,
                                                  .P_std = 1.2,
                                                  .sigma_data = deviation,
                                                  .hr_mean_conditioning = true});
  nn::fit(*net, fit_options("diffusion", o), [&] {
    const Pairs batch = data.draw(o.batch_size, rng);
    return mean(loss(AnyModel(net), batch.targets, batch.inputs, rng));
  });
  return net;
}

// @shape means [years, 1, H, W], members [members, years, 1, H, W]
struct Generated {
  Tensor means, members;
};

Generated generate(const AnyModel& regression, const AnyModel& net, const Tensor& inputs,
                   int64_t members) {
  std::vector<Tensor> means, ensembles;
  for (int64_t year = 0; year < inputs.size(0); ++year) {
    const Tensor input = slice(inputs, 0, year, year + 1);
    const Tensor mean = diffusion::regression_step(regression, input, {1, 1, 36, 48});
    std::vector<uint64_t> seeds;
    for (int64_t i = 0; i < members; ++i)
      seeds.push_back(static_cast<uint64_t>(year * members + i));
    const auto sampler = [&](const Tensor& latents, const diffusion::LegacySamplerInputs& in,
                             diffusion::NoiseSource& noise) {
      return diffusion::stochastic_sampler(net, latents, in, noise, {.num_steps = 9});
    };
    const Tensor residuals =
        diffusion::diffusion_step(sampler, 1, {seeds}, {.img_lr = input, .mean_hr = mean});
    means.push_back(mean);
    ensembles.push_back(mean + residuals);
  }
  return {cat(means, 0), stack(ensembles, 1)};
}

// CRPS of one field is its mean absolute error.
double print_scores(const char* name, const Tensor& ensemble, const Tensor& truth) {
  const Tensor missed = mean(ensemble, 0) - truth;
  const double score = diffusion::crps(ensemble, truth, ensemble.size(0) > 1);
  std::printf("%-28s CRPS %.4f K   error of the mean %.4f K\n", name, score,
              std::sqrt(mean(square(missed)).item()));
  return score;
}

// A row for each of the first years; all rows share one range of colours, in units of the detail.
void write_picture(const std::string& path, const Tensor& truth, const Generated& g,
                   int64_t year_step) {
  constexpr double kRange = 2.5;
  std::vector<Tensor> rows;
  std::printf("%s: truth, regression, two members; from -%.1f (blue) to %.1f (red); years",
              path.c_str(), kRange, kRange);
  for (int64_t year = 0; year < std::min<int64_t>(4, truth.size(0)); ++year) {
    std::printf(" %lld", static_cast<long long>(kFirstYear + kHeldOut + year * year_step));
    for (const Tensor& x : {truth, g.means, select(g.members, 0, 0), select(g.members, 0, 1)})
      rows.push_back(slice(x, 0, year, year + 1));
  }
  std::printf("\n");
  io::write_png_grid(path, cat(rows, 0) / kRange,
                     {.columns = 4, .scale = 4, .colours = io::Colours::blue_red});
}

int run(const Options& o) {
  Generator rng(static_cast<uint64_t>(o.seed));
  const nn::Construction weights(rng);
  const std::string a1b = io::join_path(o.data, "air_temperature_north_america_a1b.npy");
  const std::string e1 = io::join_path(o.data, "air_temperature_north_america_e1.npy");
  // The diffusion model learns what the regression leaves in years that it has not seen, as it will
  // leave it in others.
  const Scales scales(read_fields(a1b, 0, 240, 1));
  const auto pairs = [&](const Fields& f) { return Pairs{scales.inputs(f), scales.targets(f)}; };
  const AnyModel regression(train_regression(pairs(read_fields(a1b, 0, 120, 2)), o, rng));
  const AnyModel net(train_diffusion(regression, pairs(read_fields(a1b, 1, 120, 2)), o, rng));

  const NoGrad no_grad;
  const int64_t step = std::max<int64_t>(1, 100 / o.years);
  const Fields held_out = read_fields(e1, kHeldOut, o.years, step);
  const Generated g = generate(regression, net, scales.inputs(held_out), o.members);
  const auto kelvin = [&](const Tensor& x) { return scales.temperature(x, held_out.coarse); };
  const Tensor& truth = held_out.fine;
  print_scores("interpolation", unsqueeze(held_out.coarse, 0), truth);
  print_scores("with the mean detail", unsqueeze(kelvin(zeros_like(truth)), 0), truth);
  const double regressed = print_scores("regression", unsqueeze(kelvin(g.means), 0), truth);
  const double drawn = print_scores("regression and diffusion", kelvin(g.members), truth);
  std::printf("ranks of the truth among the members:");
  for (const int64_t count : diffusion::rank_histogram(kelvin(g.members), truth, rng))
    std::printf(" %.3f", static_cast<double>(count) / static_cast<double>(truth.numel()));
  std::printf("\n");
  io::make_folders(o.out);
  write_picture(io::join_path(o.out, "detail.png"), scales.targets(held_out), g, step);
  const double ratio = drawn / regressed;
  std::printf("CRPS of the ensemble over that of the regression: %.3f\n", ratio);
  check<Error>(ratio <= o.at_most, "the ensemble's CRPS is ", ratio,
               " of the regression's, more than ", o.at_most, " (--at-most)");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  CLI::App app("Super-resolution of climate fields");
  Options o;
  app.add_option("--data", o.data, "folder of the temperatures")->capture_default_str();
  app.add_option("--out", o.out, "folder for the picture")->capture_default_str();
  app.add_option("--steps", o.steps, "of each training")->capture_default_str();
  app.add_option("--batch-size", o.batch_size)->capture_default_str();
  app.add_option("--years", o.years, "of the 100 held out")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--members", o.members, "of each ensemble")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "of everything random")->capture_default_str();
  app.add_option("--at-most", o.at_most,
                 "fail if the ensemble's CRPS over the regression's is more");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_climate: %s\n", error.what());
    return 1;
  }
}
