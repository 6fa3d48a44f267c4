#include <brume/diffusion/data_scale.h>

namespace brume::diffusion {

void check_data_scale(const char* who, const nn::OneOrMany<double>& sigma_data) {
  check(!sigma_data.values().empty(), who, ": sigma_data is an empty list");
  for (double value : sigma_data.values())
    check(value > 0, who, ": sigma_data must be positive, got ", value);
}

}  // namespace brume::diffusion
