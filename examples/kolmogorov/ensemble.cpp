#include "examples/kolmogorov/ensemble.h"

#include <algorithm>
#include <cmath>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/random.h>

namespace brume::kolmogorov {
namespace {

// Eddies of wavenumbers around 2, with a root-mean-square vorticity of about 2.
Tensor large_eddies(const Torus& torus, int64_t flows, Generator& rng) {
  const Tensor& k2 = torus.wavenumber_squared();
  const Tensor amplitude = exp(k2 / -8.0) * sqrt(k2) / 2;
  return normal({flows, k2.size(0), k2.size(1)}, rng, {.dtype = k2.dtype()}) * amplitude;
}

}  // namespace

Tensor vorticity_samples(const EnsembleOptions& o,
                         const std::function<void(int64_t done)>& on_samples) {
  check(o.flows > 0 && o.samples > 0 && o.samples % o.flows == 0, "vorticity_samples: ", o.samples,
        " samples do not share out over ", o.flows, " flows");
  check(o.spin_up_time >= 0 && o.sample_every > 0,
        "vorticity_samples: wants spin_up_time >= 0 and sample_every > 0");
  const NoGrad no_grad;
  const KolmogorovFlow flow(o.flow, DType::f32);
  const Torus coarse(o.size, std::min(flow.torus().modes(), (o.size - 1) / 2), DType::f32);
  const int64_t kept = 2 * coarse.modes() + 1;
  Generator rng(static_cast<uint64_t>(o.seed));
  Tensor state = large_eddies(flow.torus(), o.flows, rng);
  const auto run_for = [&](double time) {
    const int64_t steps = std::llround(std::ceil(time / o.flow.time_step));
    for (int64_t i = 0; i < steps; ++i) state = flow.step(state);
  };
  run_for(o.spin_up_time);
  std::vector<Tensor> samples;
  for (int64_t done = 0; done < o.samples; done += o.flows) {
    if (done > 0) run_for(o.sample_every);
    check<Error>(std::isfinite(sum(flow.enstrophy(state)).item()),
                 "vorticity_samples: a flow blew up; try a smaller flow.time_step");
    samples.push_back(coarse.field(slice(slice(state, 1, 0, kept), 2, 0, kept)));
    if (on_samples) on_samples(done + o.flows);
  }
  return reshape(cat(samples, 0), {o.samples, 1, o.size, o.size});
}

}  // namespace brume::kolmogorov
