// Solvers on a mixture of Gaussians whose score is known: how fast they converge, and whether the
// stochastic ones draw from it.

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/plot.h>
#include <brume/diffusion/schedulers/edm.h>
#include <brume/diffusion/solvers/edm_stochastic.h>
#include <brume/diffusion/solvers/exponential.h>

#include "examples/mixture/mixture.h"

namespace {

using namespace brume;
using namespace brume::diffusion;

constexpr auto kOde = DenoisingType::ode, kX0 = DenoisingType::x0;

struct Method {
  const char* name;
  DenoisingType type;
  Solver solver;
  int64_t calls = 1;  // of the network in a step
};

// Errors of the ODE solvers between the noise levels 10 and 0.1, against a run of 4,000 steps.
void measure_orders(const std::string& plot) {
  const EDMNoiseScheduler s;
  const auto run = [&](const Method& m, int64_t steps) {
    return carried(s, m.type, m.solver, 10, 0.1, steps);
  };
  const std::vector<Method> methods{
      {"Euler", kOde, EulerSolver{}},
      {"Heun", kOde, HeunSolver{}, 2},
      {"DDIM", kX0, DDIMSolver{.scheduler = &s}},
      {"DPM-Solver++ 2M", kX0, DPMSolverPlusPlus({.scheduler = &s})},
      {"UniPC 2", kX0, UniPCSolver({.scheduler = &s})},
  };
  const Tensor exact = run({"", kX0, UniPCSolver({.scheduler = &s, .order = 3})}, 4000);
  std::vector<io::PlotLine> lines;
  std::printf("solver            error at 40, 80, 160 steps        order\n");
  for (const Method& m : methods) {
    io::PlotLine line{.name = m.name, .x = {}, .y = {}};
    for (int64_t steps = 5; steps <= 160; steps *= 2) {
      line.x.push_back(static_cast<double>(steps * m.calls));
      line.y.push_back(vector_norm(run(m, steps) - exact).item());
    }
    const double* last = &line.y.back();
    std::printf("%-16s %9.2e %9.2e %9.2e %10.2f\n", m.name, last[-2], last[-1], last[0],
                std::log2(last[-1] / last[0]));
    lines.push_back(std::move(line));
  }
  io::write_plot(plot, lines,
                 {.title = "error of six points carried from noise level 10 to 0.1",
                  .x_label = "network calls",
                  .y_label = "error",
                  .log_x = true,
                  .log_y = true});
}

// Prints moments and distances of a solver's samples; whether all are within what samples drawn
// directly show.
bool judge(const char* name, const Tensor& x, const Tensor& exact, const NullLimits& limits) {
  const std::vector<double> found = moments(x), wanted = moments_of_two_hills();
  double furthest = 0;
  for (const double angle : {0.0, 0.7, 1.4, 2.1}) {
    const auto along = [&](const Tensor& y) {
      return select(y, 1, 0) * std::cos(angle) + select(y, 1, 1) * std::sin(angle);
    };
    furthest = std::max(furthest, largest_distance(along(x), along(exact)));
  }
  const double apart = distance(x, exact);
  bool good = furthest < largest_distance_limit(x.size(0)) && apart < limits.wasserstein;
  for (size_t i = 0; i < wanted.size(); ++i)
    good = good && std::abs(found[i] - wanted[i]) < limits.moments[i];
  std::printf("%-22s %7.4f %7.4f   %7.4f %7.4f %7.4f   %7.5f %7.5f %s\n", name, found[0], found[1],
              found[2], found[3], found[4], furthest, apart, good ? "" : "too far");
  return good;
}

// Whether all stochastic solvers draw from the mixture.
bool judge_stochastic(int64_t count, uint64_t seed) {
  const EDMNoiseScheduler s;
  Generator rng(seed);
  NoiseSource noise(rng);
  const auto draw = [&](DenoisingType type, const Solver& solver, int64_t steps) {
    const Tensor first = slice(s.timesteps(steps), 0, 0, 1);
    const Tensor start = s.init_latents({count, 2}, expand(first, {count}), noise);
    return sample(denoiser(s, {.x0 = two_hills().x0(s), .type = type}), start, s,
                  {.num_steps = steps, .solver = solver});
  };
  const auto churn = [&](int64_t steps) {
    return ChurnOptions{.noise = &noise, .S_churn = 30, .num_steps = steps};
  };
  const NullLimits limits = null_limits(count, rng);
  const std::vector<double> m = moments_of_two_hills(), &far = limits.moments;
  std::printf("\n%lld samples          mean              covariance                 distances\n",
              static_cast<long long>(count));
  std::printf("%-22s %7.4f %7.4f   %7.4f %7.4f %7.4f\n", "the mixture", m[0], m[1], m[2], m[3],
              m[4]);
  std::printf("%-22s %7.4f %7.4f   %7.4f %7.4f %7.4f   %7.5f %7.5f\n", "off at most", far[0],
              far[1], far[2], far[3], far[4], largest_distance_limit(count), limits.wasserstein);
  const Tensor exact = two_hills().draw(count, rng);
  bool good = true;
  const auto report = [&](const char* name, const Tensor& x) {
    good = judge(name, x, exact, limits) && good;
  };
  report("drawn directly", two_hills().draw(count, rng));
  report("stochastic Euler, 1000", draw(kOde, EDMStochasticEulerSolver{churn(1000)}, 1000));
  report("stochastic Heun, 120", draw(kOde, EDMStochasticHeunSolver{churn(120)}, 120));
  report("DPM-Solver++ SDE, 150",
         draw(kX0, DPMSolverPlusPlus({.scheduler = &s, .eta = 1, .noise = &noise}), 150));
  report("DDIM eta 1, 1000",
         draw(kX0, DDIMSolver{.scheduler = &s, .eta = 1, .noise = &noise}, 1000));
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  CLI::App app("Solvers on a mixture of Gaussians whose score is known");
  std::string out = "runs/mixture";
  int64_t count = 100000;
  uint64_t seed = 5;
  app.add_option("--out", out, "folder for the plot")->capture_default_str();
  app.add_option("--count", count, "samples of the stochastic solvers")->capture_default_str();
  app.add_option("--seed", seed, "of the samples")->capture_default_str();
  bool required = false;
  app.add_flag("--require", required, "fail if a stochastic solver is too far from the mixture");
  CLI11_PARSE(app, argc, argv);
  try {
    const NoGrad no_grad;
    io::make_folders(out);
    measure_orders(io::join_path(out, "orders.png"));
    if (!judge_stochastic(count, seed) && required) return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_mixture: %s\n", error.what());
    return 1;
  }
}
