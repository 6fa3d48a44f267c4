// What network calls buy: samples of a trained digits model by several solvers, at equal numbers of
// calls, against samples of a long run.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/metrics.h>
#include <brume/diffusion/model.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/solvers/exponential.h>

namespace {

using namespace brume;
using namespace brume::diffusion;

struct Options {
  std::string model;
  int64_t num = 2000, calls = 11, seeds = 3, long_steps = 40;
  double at_most = HUGE_VAL;  // the best multistep solver's distance over Heun's, to pass
};

struct Method {
  const char* name;
  DenoisingType type;
  Solver solver;
  int64_t steps;
};

// One sample per number from `first` on, all classes in turn. @shape result [num, 1, 8, 8]
Tensor draw(const AnyModel& model, const EDMNoiseScheduler& noise, const Method& m, uint64_t first,
            int64_t num) {
  constexpr int64_t kBatch = 250, kClasses = 10;
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < num; begin += kBatch) {
    const int64_t count = std::min(kBatch, num - begin);
    std::vector<uint64_t> seeds;
    std::vector<float> classes;
    for (int64_t i = begin; i < begin + count; ++i) {
      seeds.push_back(first + static_cast<uint64_t>(i));
      classes.push_back(static_cast<float>(i % kClasses));
    }
    NoiseSource source(seeds);
    const Tensor labels =
        convert(eq(from_vector(classes, {count, 1}), arange(0, kClasses)), DType::f32);  // one-hot
    const Tensor level = slice(noise.timesteps(m.steps), 0, 0, 1);
    const Tensor start = noise.init_latents({count, 1, 8, 8}, expand(level, {count}), source);
    parts.push_back(sample(denoiser(noise, {.x0 = bind(model, labels), .type = m.type}),
                           contiguous(start, Layout::channels_last), noise,
                           {.num_steps = m.steps, .solver = m.solver}));
  }
  return cat(parts, 0);
}

// Mean distance from the reference; prints it with each set's.
double judge(const AnyModel& model, const EDMNoiseScheduler& noise, const Method& m,
             const Tensor& reference, const Options& o) {
  std::printf("%-16s %2lld steps:", m.name, static_cast<long long>(m.steps));
  double total = 0, squares = 0;
  for (int64_t seed = 0; seed < o.seeds; ++seed) {
    Generator directions(1);
    const Tensor x = draw(model, noise, m, static_cast<uint64_t>(seed * o.num), o.num);
    const double distance = sliced_wasserstein(x, reference, directions);
    total += distance;
    squares += distance * distance;
    std::printf(" %.4f", distance);
    std::fflush(stdout);
  }
  const auto n = static_cast<double>(o.seeds);
  const double mean = total / n;
  std::printf("   mean %.4f, deviation %.4f\n", mean,
              n > 1 ? std::sqrt(std::max(squares - n * mean * mean, 0.0) / (n - 1)) : 0);
  return mean;
}

void run(const Options& o) {
  const NoGrad no_grad;
  const AnyModel model(diffusion::load(o.model));
  model.module()->eval();
  const EDMNoiseScheduler s({.sigma_data = 0.75});
  constexpr auto kOde = DenoisingType::ode, kX0 = DenoisingType::x0;
  const Solver unipc = UniPCSolver({.scheduler = &s});
  // Heun's last step is one call.
  const std::vector<Method> methods{
      {"Heun", kOde, HeunSolver{}, (o.calls + 1) / 2},
      {"DPM-Solver++ 2M", kX0, DPMSolverPlusPlus({.scheduler = &s}), o.calls},
      {"UniPC 2", kX0, unipc, o.calls},
      {"a long run", kX0, unipc, o.long_steps}};
  const Tensor reference =
      draw(model, s, methods.back(), static_cast<uint64_t>(o.seeds * o.num), o.num);
  std::vector<double> means;
  for (const Method& m : methods) means.push_back(judge(model, s, m, reference, o));
  const double ratio = std::min(means[1], means[2]) / means[0];
  std::printf("the better solver of several steps over Heun's: %.3f\n", ratio);
  check<Error>(ratio <= o.at_most, "the distance of the better solver of several steps is ", ratio,
               " of Heun's, more than ", o.at_most, " (--at-most)");
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  CLI::App app("Solvers at equal network calls, by sliced Wasserstein distance");
  Options o;
  app.add_option("model", o.model, "model.safetensors of a run of digits")->required();
  app.add_option("--num", o.num, "samples")->capture_default_str();
  app.add_option("--calls", o.calls, "of the network, an odd number")->capture_default_str();
  app.add_option("--seeds", o.seeds, "sets of samples")->capture_default_str();
  app.add_option("--long-steps", o.long_steps, "of the run to compare with")->capture_default_str();
  app.add_option("--at-most", o.at_most,
                 "fail if the better multistep solver's distance over Heun's is more");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_digits: %s\n", error.what());
    return 1;
  }
}
