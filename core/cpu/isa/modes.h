#pragma once
// The inner loops of complex products mode by mode, and of transforms that keep few frequencies,
// one table per instruction set.

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

/// One place [n, P, I] and one spectrum [2, F, I] of FftKernels::low_modes; columns are adjacent.
///
/// Places j and n - j see the same cosines and opposite sines, so sums and differences of the two
/// are multiplied: half as many products as places. With two parts, frequencies f and -f share them
/// again.
template <class T>
struct LowModes {
  int64_t n, modes;
  bool is_complex;          // P = 2
  int64_t place, part;      // from place to place and from part to part
  int64_t mode, mode_part;  // the same in the spectrum
  // Of the frequencies f = 0 .. rows() - 1 at the places j = 0 .. n / 2, each in turn: cosines,
  // then as many negated sines. To the spectrum [j][f], from it [f][j].
  const T* waves;
  int64_t rows() const { return is_complex ? modes + 1 : modes; }
  int64_t folded() const { return n / 2 + 1; }
};

template <class T>
struct ModeLoops {
  /// The columns [begin, end) of y.
  void (*columns)(const ModeProduct<T>& p, int64_t begin, int64_t end);
  /// `columns` columns of x to those of y, and of y back to x.
  void (*to_modes)(const LowModes<T>& p, int64_t columns, const T* x, T* y);
  void (*from_modes)(const LowModes<T>& p, int64_t columns, const T* y, T* x);
};

BRUME_ISA_TABLE(ModeLoops<float>, mode_loops)
namespace portable {
extern const ModeLoops<double> mode_loops_f64;
}

}  // namespace brume::cpu
