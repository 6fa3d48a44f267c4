#include "examples/kolmogorov/spectrum.h"

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "examples/kolmogorov/torus.h"

namespace brume::kolmogorov {

std::vector<double> energy_spectrum(const Tensor& vorticity) {
  const int64_t N = vorticity.size(-1);
  check(vorticity.rank() >= 3 && vorticity.size(-2) == N && vorticity.numel() > 0,
        "energy_spectrum: wants fields [B, 1, N, N] or [B, N, N], got ", vorticity.shape());
  const Torus torus(N, (N - 1) / 2);
  const Tensor fields = reshape(convert(vorticity, DType::f64), {-1, N, N});
  const auto power = mean(square(torus.coefficients(fields)), 0).to_vector<double>();
  const auto k2 = torus.wavenumber_squared().to_vector<double>();
  std::vector<double> energy(static_cast<size_t>(std::lround(std::sqrt(k2.back())) + 1), 0);
  for (size_t i = 0; i < power.size(); ++i)
    if (k2[i] > 0)
      energy[static_cast<size_t>(std::lround(std::sqrt(k2[i])))] += power[i] / k2[i] / 2;
  return energy;
}

}  // namespace brume::kolmogorov
