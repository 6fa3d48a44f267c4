#include <brume/diffusion/data_scale.h>

#include <cmath>

#include <brume/autograd/ops/pointwise.h>

namespace brume::diffusion {

void check_data_scale(const char* who, const nn::OneOrMany<double>& sigma_data) {
  check(!sigma_data.values().empty(), who, ": sigma_data is an empty list");
  for (double value : sigma_data.values())
    check(value > 0 && std::isfinite(value), who, ": sigma_data must be positive, got ", value);
}

Tensor edm_loss_weight(const Tensor& sigma, const Tensor& sigma_data) {
  return (square(sigma) + square(sigma_data)) / square(sigma * sigma_data);
}

}  // namespace brume::diffusion
