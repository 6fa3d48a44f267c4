#include <brume/core/cpu/isa.h>

#include <cstdlib>
#include <string_view>

#include <brume/core/error.h>

namespace brume::cpu {
namespace {

bool machine_has(Isa isa) {
#ifdef BRUME_X86_VARIANTS
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx512)
    return machine_has(Isa::avx2) && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#endif
  return isa == Isa::portable;
}

Isa choose() {
  const char* wanted = std::getenv("BRUME_ISA");
  for (Isa isa : {Isa::avx512, Isa::avx2, Isa::portable}) {
    if (wanted && std::string_view(wanted) != name(isa)) continue;
    if (machine_has(isa)) return isa;
  }
  throw Error(cat("BRUME_ISA=", wanted,
                  ": this build or machine has no such variant; use portable, avx2 or avx512"));
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* name(Isa isa) {
  return isa == Isa::portable ? "portable" : isa == Isa::avx2 ? "avx2" : "avx512";
}

}  // namespace brume::cpu
