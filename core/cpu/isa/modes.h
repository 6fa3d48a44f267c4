#pragma once
// The inner loop of complex products mode by mode, one table per instruction set.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// Matrices of complex numbers, each entry a line of modes: real and imaginary parts in lines of
/// their own, `part` apart, or (part == 1) in turns.
template <class T>
struct ModeMatrix {
  T* data;
  int64_t row, column, part;
  T* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
};

/// y[n, o] = sum over i of x[n, i] w[i, o] for every mode, as FftKernels::mode_matmul says.
template <class T>
struct ModeProduct {
  int64_t samples, in, modes;
  ModeMatrix<const T> x, w;  // x's parts stand in lines of their own
  ModeMatrix<T> y;
  bool conjugate_w, conjugate_y;
};

template <class T>
struct ModeLoops {
  /// The columns [begin, end) of y.
  void (*columns)(const ModeProduct<T>& p, int64_t begin, int64_t end);
};

BRUME_ISA_TABLE(ModeLoops<float>, mode_loops)
namespace portable {
extern const ModeLoops<double> mode_loops_f64;
}

}  // namespace brume::cpu
