#pragma once
// Which instruction set the CPU kernels use: asked of the machine once, BRUME_ISA overrides.

namespace brume::cpu {

enum class Isa { portable, avx2, avx512 };

/// The widest variant that this build and machine have, or the one named by BRUME_ISA.
/// @throws Error if BRUME_ISA names none of those
Isa isa();
const char* name(Isa isa);

}  // namespace brume::cpu

// Declares `const Type name` of every variant (defined in core/cpu/isa/*.inl) and name(), which
// picks the one in use. Stands inside namespace brume::cpu.
#ifdef BRUME_X86_VARIANTS
#define BRUME_ISA_TABLE(Type, name)                                    \
  namespace portable {                                                 \
  extern const Type name;                                              \
  }                                                                    \
  namespace avx2 {                                                     \
  extern const Type name;                                              \
  }                                                                    \
  namespace avx512 {                                                   \
  extern const Type name;                                              \
  }                                                                    \
  inline const Type& name() {                                          \
    static const Type& chosen = isa() == Isa::avx512 ? avx512::name    \
                                : isa() == Isa::avx2 ? avx2::name      \
                                                     : portable::name; \
    return chosen;                                                     \
  }
#else
#define BRUME_ISA_TABLE(Type, name) \
  namespace portable {              \
  extern const Type name;           \
  }                                 \
  inline const Type& name() { return portable::name; }
#endif
