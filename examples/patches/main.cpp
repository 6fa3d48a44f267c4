// A model that has seen patches of 16 x 16 only draws fields of 128 x 128 (multi-diffusion).

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/plot.h>
#include <brume/core/io/png.h>
#include <brume/diffusion/adapters.h>
#include <brume/diffusion/multi_diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/predictor.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/solvers/exponential.h>
#include <brume/nn/training/fit.h>

#include "examples/patches/medium.h"

namespace {

using namespace brume;
using namespace brume::patches;
using namespace brume::diffusion;

struct Options {
  std::string out = "runs/patches";
  int64_t steps = 600, fields = 4, size = 128, sample_steps = 18, seed = 1;
  double at_most = HUGE_VAL;  // distance of the two-point functions, to pass
};

constexpr int64_t kPatch = 16, kTrainedSize = 64, kLags = 33;
constexpr double kDeviation = 0.8;

nn::Ref<EDMPreconditioner> make_model() {
  const auto net = nn::make<SongUNetAdapter>({.img_resolution = kPatch,
                                              .in_channels = 1,
                                              .out_channels = 1,
                                              .model_channels = 32,
                                              .channel_mult = {1, 2},
                                              .num_blocks = 1,
                                              .attn_resolutions = {},
                                              .dropout = 0});
  return nn::make<EDMPreconditioner>({.model = net, .sigma_data = kDeviation});
}

nn::Ref<MultiDiffusionModel2D> by_patches(const nn::Ref<EDMPreconditioner>& model, int64_t size) {
  return nn::make<MultiDiffusionModel2D>(
      AnyModel(model), MultiDiffusionModel2DConfig{.global_spatial_shape = {size, size}});
}

void train(const nn::Ref<EDMPreconditioner>& model, const EDMNoiseScheduler& noise,
           const Options& o, Generator& rng) {
  const auto patches = by_patches(model, kTrainedSize);
  patches->set_random_patching({kPatch, kPatch}, 16, rng);
  const MultiDiffusionMSEDSMLoss loss(patches, noise);
  nn::fit(*model,
          {.steps = o.steps,
           .lr = 2e-3,
           .on_report =
               [](int64_t step, double value) {
                 std::printf("step %lld: loss %.4f\n", static_cast<long long>(step), value);
               }},
          [&] { return loss(draw_media(4, kTrainedSize, rng), rng); });
}

Tensor draw(const nn::Ref<EDMPreconditioner>& model, const EDMNoiseScheduler& noise,
            int64_t overlap, const Options& o) {
  MultiDiffusionPredictor predictor(by_patches(model, o.size), {.chunk_size = 64});
  predictor.set_patching(overlap, 0, {kPatch, kPatch});
  Generator rng(static_cast<uint64_t>(o.seed));
  NoiseSource source(rng);
  const Tensor first = slice(noise.timesteps(o.sample_steps), 0, 0, 1);
  const Tensor start =
      noise.init_latents({o.fields, 1, o.size, o.size}, expand(first, {o.fields}), source);
  return sample(denoiser(noise, {.x0 = predictor, .type = DenoisingType::x0}), start, noise,
                {.num_steps = o.sample_steps, .solver = UniPCSolver({.scheduler = &noise})});
}

io::PlotLine line(const char* name, const std::vector<double>& y) {
  io::PlotLine out{.name = name, .x = {}, .y = y};
  for (size_t i = 0; i < y.size(); ++i) out.x.push_back(static_cast<double>(i));
  return out;
}

double furthest(const std::vector<double>& a, const std::vector<double>& b) {
  double out = 0;
  for (size_t i = 0; i < a.size(); ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}

int run(const Options& o) {
  Generator rng(static_cast<uint64_t>(o.seed));
  const nn::Construction weights(rng);
  const EDMNoiseScheduler noise({.sigma_data = kDeviation});
  const auto model = make_model();
  train(model, noise, o, rng);

  const NoGrad no_grad;
  const Tensor data = draw_media(16, o.size, rng);
  reset_peak_memory();
  const Tensor apart = draw(model, noise, 0, o), drawn = draw(model, noise, kPatch / 2, o);
  std::printf("memory while sampling: %.0f MB\n", static_cast<double>(memory_stats().peak) / 1e6);
  const auto of_data = two_point(data, kLags), of_apart = two_point(apart, kLags),
             of_drawn = two_point(drawn, kLags);
  io::make_folders(o.out);
  io::write_plot(io::join_path(o.out, "two_point.png"),
                 {line("data", of_data), line("patches overlap by half", of_drawn),
                  line("patches do not overlap", of_apart)},
                 {.title = "mean product of two values",
                  .x_label = "pixels apart",
                  .y_label = "two-point function"});
  const auto first = [](const Tensor& x) { return slice(x, 0, 0, 1); };
  io::write_png_grid(io::join_path(o.out, "fields.png"),
                     cat({first(data), first(drawn), first(apart)}, 0), {.columns = 3, .scale = 2});
  const double error = furthest(of_drawn, of_data);
  std::printf("two-point function: at most %.3f from the data's, without overlap %.3f\n", error,
              furthest(of_apart, of_data));
  check<Error>(error <= o.at_most, "the two-point function is ", error,
               " from the data's, more than ", o.at_most, " (--at-most)");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  CLI::App app("Fields eight times larger than the patches that were learned");
  Options o;
  app.add_option("--out", o.out, "folder for the pictures")->capture_default_str();
  app.add_option("--steps", o.steps, "of training")->capture_default_str();
  app.add_option("--fields", o.fields, "to draw")->capture_default_str();
  app.add_option("--size", o.size, "of a field")->capture_default_str();
  app.add_option("--sample-steps", o.sample_steps)->capture_default_str();
  app.add_option("--seed", o.seed, "of everything random")->capture_default_str();
  app.add_option("--at-most", o.at_most, "fail if the two-point function is further off");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_patches: %s\n", error.what());
    return 1;
  }
}
