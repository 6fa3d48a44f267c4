#pragma once
// The blocked product that linear layers, convolutions and attention share: the tile kernels'
// contract, and the driver that packs, blocks and spreads a whole product over the threads.
//
// One rule holds everywhere: an element is summed over k in ascending order in one accumulator,
// from zero within each block of K, and blocks are added in order. Blocks depend on K alone, so
// tile shapes, threads and batches change no bits.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// v = (v + bias[j] + residual[i, j]) * scale, once an element is summed up; null = absent.
template <class T>
struct Epilogue {
  const T* bias;
  const T* residual;
  int64_t residual_row;
  T scale;
  bool plain() const { return !bias && !residual && scale == T(1); }
};

/// Memory that a kernel asks for while it computes something else: `rows` rows of `length`.
template <class T>
struct Ahead {
  const T* data = nullptr;  // null: nothing
  int64_t rows = 0, length = 0, row = 0;
};

/// c = a b over a block of m rows and n columns, on one thread. K is `segments` pieces of `length`.
template <class T>
struct Product {
  int64_t m, n, segments, length;
  // a(i, s, k) = a[a_segment[s] + i * a_row + k * a_k]; one of a_row and a_k is 1.
  const T* a;
  int64_t a_row, a_k;
  const int64_t* a_segment;  // null: zeros
  // b(s, k, j): panels of `columns` (see GemmIsa) adjacent numbers, the last one readable beyond n:
  // b[(j / columns) * b_panel + b_segment[s] + k * b_k + j % columns]
  const T* b;
  int64_t b_panel, b_k;
  const int64_t* b_segment;  // null: s * length * b_k
  // c(i, j) = c[i * c_row + j]
  T* c;
  int64_t c_row;
  bool accumulate;              // add to c instead of replacing it
  const Epilogue<T>* epilogue;  // null: none
  Ahead<T> ahead[2] = {};
};

/// Inner loops, one table per instruction set.
template <class T>
struct GemmIsa {
  int64_t rows, columns;  // the largest tile; panels of b are `columns` wide
  void (*multiply)(const Product<T>& p);
  // What multiply does with a finished sum, for one that stands in memory, [m][sums_row].
  void (*finish)(const Product<T>& p, const T* sums, int64_t sums_row);
  // out[panel * out_panel + k * columns + j] = x[k * k_stride + (panel * columns + j) * j_stride],
  // zeros beyond n
  void (*pack_panels)(int64_t k, int64_t n, const T* x, int64_t k_stride, int64_t j_stride, T* out,
                      int64_t out_panel);
  // out[i * out_row + j] = x[i * i_stride + j * j_stride], m rows of n; fast where a stride is 1
  void (*pack)(int64_t m, int64_t n, const T* x, int64_t i_stride, int64_t j_stride, T* out,
               int64_t out_row);
};

BRUME_ISA_TABLE(GemmIsa<float>, gemm_f32)
namespace portable {
extern const GemmIsa<double> gemm_f64;
}

template <class T>
const GemmIsa<T>& gemm_isa();
template <>
inline const GemmIsa<float>& gemm_isa<float>() {
  return gemm_f32();
}
template <>
inline const GemmIsa<double>& gemm_isa<double>() {
  return portable::gemm_f64;
}

/// Length of the blocks of K (the last may be shorter).
int64_t k_block(int64_t k);

template <class T>
struct Matrix {
  const T* data;
  int64_t row, column;  // strides
  const T* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
};

/// c[z] = a[z] b[z] for z < batch: [m, k] [k, n] -> [m, n], columns of c adjacent.
template <class T>
struct Gemm {
  int64_t batch, m, n, k;
  Matrix<T> a, b;
  int64_t a_batch, b_batch;
  T* c;
  int64_t c_batch, c_row;
  Epilogue<T> epilogue;
  int64_t bias_batch, residual_batch;
};
template <class T>
void run(const Gemm<T>& gemm);

}  // namespace brume::cpu
