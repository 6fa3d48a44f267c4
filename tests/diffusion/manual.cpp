// The scheduler of docs/diffusion.md, run as a reader would.

#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/mode.h>
#include <brume/diffusion/sample.h>

#include "manual/flow_scheduler.h"  // the build takes it from the page

TEST_CASE("the manual's own scheduler goes from noise to the data along straight lines") {
  const FlowScheduler flow;
  const std::vector<double> times = flow.timesteps(4, {.dtype = DType::f64}).to_vector<double>();
  REQUIRE(times.size() == 5);
  for (size_t i = 0; i < 5; ++i)
    CHECK(times[i] == doctest::Approx(0.999 * (1 - 0.25 * static_cast<double>(i))));

  const NoGrad no_grad;
  Generator rng(5);
  diffusion::NoiseSource noise(rng);
  const Tensor x0 = normal({3, 2}, rng), first = expand(slice(flow.timesteps(4), 0, 0, 1), {3});
  const auto known = [&](const Tensor&, const Tensor&) { return x0; };
  for (const diffusion::Solver& solver :
       {diffusion::Solver(diffusion::HeunSolver{}), diffusion::Solver(diffusion::EulerSolver{})}) {
    const Tensor x = diffusion::sample(diffusion::denoiser(flow, {.x0 = known}),
                                       flow.init_latents({3, 2}, first, noise), flow,
                                       {.num_steps = 4, .solver = solver});
    CHECK(max(abs(x - x0)).item() < 1e-5);
  }
  const Tensor t = flow.sample_time(100, rng);
  CHECK(min(t).item() > 0);
  CHECK(max(t).item() < 1);
}
