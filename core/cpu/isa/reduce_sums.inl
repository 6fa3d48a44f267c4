// Only additions, in an order that no vector width changes but for the lanes of `row`.

#include <brume/core/cpu/reduce_sums.h>
#include <brume/core/cpu/simd.h>

namespace brume::cpu::BRUME_ISA {
namespace {

using V = math::Wide<float>;
constexpr int kWidth = V::kLanes;

constexpr int kLanes = 64, kVecs = kLanes / kWidth;

// At most a block: each lane adds 16 elements, a tree joins the lanes.
float block_sum(const float* x, int64_t n) {
  V sums[kVecs];
#pragma GCC unroll 16
  for (int k = 0; k < kVecs; ++k) sums[k] = V(0);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
#pragma GCC unroll 16
    for (int k = 0; k < kVecs; ++k) sums[k] = sums[k] + V::load(x + i + k * kWidth);
#pragma GCC unroll 16
  for (int k = 0; k < kVecs; ++k)
    if (i < n) {
      const int64_t left = n - i;
      sums[k] = sums[k] +
                (left >= kWidth ? V::load(x + i) : V::load_padded(x + i, static_cast<int>(left)));
      i += kWidth;
    }
#pragma GCC unroll 8
  for (int half = kVecs / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) sums[k] = sums[k] + sums[k + half];
  return math::sum(sums[0]);
}

double row(const float* x, int64_t n) {
  double total = 0;
  if (n < 16) {  // the tree would cost more than the elements
    for (int64_t i = 0; i < n; ++i) total += x[i];
    return total;
  }
  constexpr int64_t kBlock = 1024;
  for (; n > kBlock; n -= kBlock, x += kBlock) total += block_sum(x, kBlock);
  return total + block_sum(x, n);
}

void add_row(const float* x, int64_t n, float* sums) {
  int64_t c = 0;
  for (; c + kWidth <= n; c += kWidth) (V::load(sums + c) + V::load(x + c)).store(sums + c);
  for (; c < n; ++c) sums[c] += x[c];
}

// T: the widest vector, or one lane for the columns behind the last whole vector (additions alone
// give the same bits either way).
template <class T>
T tree_of_eight(const float* x, int64_t stride) {
  const auto row = [x, stride](int64_t r) { return T::load(x + r * stride); };
  return ((row(0) + row(1)) + (row(2) + row(3))) + ((row(4) + row(5)) + (row(6) + row(7)));
}

void add_eight_rows(const float* x, int64_t stride, int64_t n, float* sums) {
  int64_t c = 0;
  for (; c + kWidth <= n; c += kWidth)
    (V::load(sums + c) + tree_of_eight<V>(x + c, stride)).store(sums + c);
  for (; c < n; ++c) sums[c] += tree_of_eight<math::Vec<float, 1>>(x + c, stride).v;
}

void columns(const float* x, int64_t rows, int64_t stride, int64_t count, double* out) {
  constexpr int64_t kTile = 1024, kRows = 64;
  float sums[kTile];
  for (int64_t c = 0; c < count; c += kTile) {
    const int64_t n = count - c < kTile ? count - c : kTile;
    for (int64_t r = 0; r < rows; r += kRows) {
      const int64_t last = rows - r < kRows ? rows : r + kRows;
      for (int64_t i = 0; i < n; ++i) sums[i] = 0;
      int64_t k = r;
      for (; k + 8 <= last; k += 8) add_eight_rows(x + k * stride + c, stride, n, sums);
      for (; k < last; ++k) add_row(x + k * stride + c, n, sums);
      for (int64_t i = 0; i < n; ++i) out[c + i] += static_cast<double>(sums[i]);
    }
  }
}

}  // namespace

extern const ReduceSums reduce_sums;
const ReduceSums reduce_sums = {&row, &columns};

}  // namespace brume::cpu::BRUME_ISA
