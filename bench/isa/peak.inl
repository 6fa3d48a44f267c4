// Independent chains of multiply-adds in registers: the rate that no kernel can exceed.

#include "bench/peak.h"

#include <brume/core/cpu/simd.h>

namespace brume::cpu::BRUME_ISA {

static float chains(int64_t rounds) {
  using Vector = math::Wide<float>;
  constexpr int kChains = 12;  // latency 4 x 2 units, with room
  Vector sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = Vector(static_cast<float>(i));
  const Vector shrink(0.999F), add(0.001F);
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = fma(sum[i], shrink, add);
  Vector all = sum[0];
  for (int i = 1; i < kChains; ++i) all = all + sum[i];
  return math::sum(all);
}

extern const PeakIsa peak_isa{chains, 2.0 * 12 * math::Wide<float>::kLanes};

}  // namespace brume::cpu::BRUME_ISA
