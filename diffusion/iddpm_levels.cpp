#include <brume/diffusion/iddpm_levels.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <brume/core/error.h>

namespace brume::diffusion {

std::vector<float> iddpm_levels(const char* who, int64_t M, double C_1, double C_2) {
  check(M >= 2 && 0 < C_1 && C_1 < 1 && C_2 > 0, who,
        ": wants M >= 2, 0 < C_1 < 1 and C_2 > 0, got ", M, ", ", C_1, " and ", C_2);
  const auto alpha_bar = [&](int64_t j) {
    const double s = std::sin(std::numbers::pi / 2 * static_cast<double>(j) /
                              static_cast<double>(M) / (C_2 + 1));
    return s * s;
  };
  std::vector<float> u(static_cast<size_t>(M) + 1);
  for (int64_t j = M; j > 0; --j) {
    const auto ratio = static_cast<float>(std::max(alpha_bar(j - 1) / alpha_bar(j), C_1));
    const float level = u[static_cast<size_t>(j)];
    u[static_cast<size_t>(j - 1)] = std::sqrt((level * level + 1) / ratio - 1);
  }
  return u;
}

}  // namespace brume::diffusion
