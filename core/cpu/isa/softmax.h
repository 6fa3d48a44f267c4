#pragma once
// The inner loops of softmax, one table per instruction set.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// Rows of `width` numbers, without gaps. A row of -inf alone gives NaN.
template <class T>
struct SoftmaxLoops {
  void (*softmax)(int64_t rows, int64_t width, const T* x, T* y);
  void (*log_softmax)(int64_t rows, int64_t width, const T* x, T* y);
};

BRUME_ISA_TABLE(SoftmaxLoops<float>, softmax_loops)
namespace portable {
extern const SoftmaxLoops<double> softmax_loops_f64;
}

}  // namespace brume::cpu
