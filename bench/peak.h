#pragma once

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

struct PeakIsa {
  float (*chains)(int64_t rounds);  // returns a number that depends on all the work
  double flops_per_round;
};

BRUME_ISA_TABLE(PeakIsa, peak_isa)

}  // namespace brume::cpu
