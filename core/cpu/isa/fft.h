#pragma once
// The inner loops of Fourier transforms, one table per instruction set.

#include <cstdint>

#include <brume/core/cpu/fft_plan.h>
#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// Panels hold one line in each of `lanes` lanes: row after row of `lanes` numbers, a complex
/// number being a row of real and one of imaginary parts.
template <class T>
struct FftLoops {
  int lanes;
  /// The panel's first n complex numbers transformed in place; it has room() of them, and so has
  /// `work`.
  void (*transform)(const FftPlan<T>& plan, bool inverse, T* panel, T* work);
  /// From the transform of n pairs of real numbers to the first n + 1 frequencies of all 2 n.
  void (*split)(const FftPlan<T>& plan, const T* panel, T* spectrum);
  /// The reverse, so that an inverse transform gives the 2 n numbers; the ends count as real.
  void (*join)(const FftPlan<T>& plan, const T* spectrum, T* panel);
};

BRUME_ISA_TABLE(FftLoops<float>, fft_loops)
namespace portable {
extern const FftLoops<double> fft_loops_f64;
}

}  // namespace brume::cpu
