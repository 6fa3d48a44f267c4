#pragma once
// The inner loops of attention between its matrix products, one table per instruction set.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// A block of scores: `rows` queries by `columns` keys.
template <class T>
struct ScoreBlock {
  int64_t rows, columns;
  T scale;
  T* scores;  // q k^T, then what the loop makes of it
  int64_t row_stride;
  const T* bias;  // added to scale * score, rows `bias_stride` apart; null = none
  int64_t bias_stride;
};

/// One head of an operand as it lies in memory.
template <class T>
struct HeadRows {
  T* data;
  int64_t row, column;  // strides
};

template <class T>
struct AttentionLoops {
  // Rows without gaps from an operand's, and times `scale` back into one. Fast for column 1, and
  // reading for column 3 (q, k, v side by side, as the UNets' projection leaves them).
  void (*gather)(int64_t rows, int64_t width, const HeadRows<const T>& x, T* out);
  void (*scatter)(int64_t rows, int64_t width, const T* x, T scale, const HeadRows<T>& out);
  // One step of the online softmax. In: per row the largest score and the sum of
  // exp(score - largest) so far. Out: scores become exp(score - largest), largest and sum go on,
  // factor[row] is what earlier sums and results are to be multiplied with.
  void (*online_softmax)(const ScoreBlock<T>& s, T* largest, T* sum, T* factor);
  // x[row][0 .. width) *= factor[row]
  void (*scale_rows)(int64_t rows, int64_t width, T* x, int64_t row_stride, const T* factor);
  // dot[row] = sum of x y over a row
  void (*row_dots)(int64_t rows, int64_t width, const T* x, int64_t x_stride, const T* y,
                   int64_t y_stride, T* dot);
  // Scores become probabilities p = exp(score - lse[row]); their gradient gp becomes the scores',
  // p (gp - mean_gp[row]).
  void (*softmax_grad)(const ScoreBlock<T>& s, const T* lse, T* gp, const T* mean_gp);
};

BRUME_ISA_TABLE(AttentionLoops<float>, attention_loops)
namespace portable {
extern const AttentionLoops<double> attention_loops_f64;
}

}  // namespace brume::cpu
