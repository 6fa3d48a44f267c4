#include <brume/diffusion/iddpm_levels.h>

#include <algorithm>
#include <cmath>

#include <brume/core/error.h>

namespace brume::diffusion {

namespace {

// Ratios of alpha_bar and levels, each in a precision of its own.
template <class Ratio, class Level>
std::vector<Level> levels(const char* who, int64_t M, double C_1, double C_2) {
  check(M >= 2 && 0 < C_1 && C_1 < 1 && C_2 > 0, who,
        ": wants M >= 2, 0 < C_1 < 1 and C_2 > 0, got ", M, ", ", C_1, " and ", C_2);
  const auto alpha_bar = [&](int64_t j) {
    const Ratio s = std::sin(static_cast<Ratio>(iddpm_angle(static_cast<double>(j), M, C_2)));
    return s * s;
  };
  std::vector<Level> u(static_cast<size_t>(M) + 1);
  for (int64_t j = M; j > 0; --j) {
    const auto ratio =
        static_cast<Level>(std::max(alpha_bar(j - 1) / alpha_bar(j), static_cast<Ratio>(C_1)));
    const Level level = u[static_cast<size_t>(j)];
    u[static_cast<size_t>(j - 1)] = std::sqrt((level * level + 1) / ratio - 1);
  }
  return u;
}

}  // namespace

std::vector<float> iddpm_levels(const char* who, int64_t M, double C_1, double C_2) {
  return levels<double, float>(who, M, C_1, C_2);
}

std::vector<double> iddpm_levels_f64(const char* who, int64_t M, double C_1, double C_2) {
  return levels<float, double>(who, M, C_1, C_2);
}

}  // namespace brume::diffusion
