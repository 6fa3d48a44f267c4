#pragma once
// The one matrix product on CUDA cores: a block of 256 threads makes a tile of 16 kSide x 16 kSide
// sums, each thread kSide x kSide of them in registers, from slabs of depth 16 in shared memory.
// The next slab is read into registers while this one is multiplied. What is multiplied is told by
// a Problem, so that a product of matrices and the three passes of a convolution are one kernel.
//
// kSide 8: 64 sums a thread, 16 loads from shared memory per 64 multiply-adds, 2 blocks per
// multiprocessor. kSide 4 for small results and f64.

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include <brume/cuda/device/math.cuh>
#include <brume/cuda/device/shared.cuh>

namespace brume::cuda {

constexpr int kTileThreads = 256, kSlab = 16;

/// The results m in [0, rows), n in [0, columns) of one product, summed over [begin, end).
struct TileRange {
  int64_t rows, columns, begin, end;
};

/// Problems are many products; of them the kernel knows
///   Element                     what is stored
///   kADepthFast, kBDepthFast    whether neighbours along the depth are neighbours in memory
///   one_of(problems, number)    one product, found by argument-dependent lookup. It has
///     range()
///     Row row(m), Column column(n), Depth depth(k)    what can be told from one index, once
///     a(Row, Depth), b(Column, Depth)                 where a factor lies, null outside
///     store(m, n, sums, count)                        results n .. n + count - 1 of row m
/// Blocks: product, then tile row, then tile column (fastest).
template <int kSide, class Problems>
__device__ inline void multiply_tile(const Problems& problems, uint32_t row_tiles,
                                     uint32_t column_tiles) {
  using A = Wide<typename Problems::Element>;
  constexpr int kTile = 16 * kSide, kLoads = kTile * kSlab / kTileThreads;
  SHARED(A, a_slab, [kSlab][kTile + 4]);
  SHARED(A, b_slab, [kSlab][kTile + 4]);
  const int t = static_cast<int>(threadIdx.x);
  const uint32_t product = blockIdx.x / (row_tiles * column_tiles);
  const uint32_t tile = blockIdx.x - product * (row_tiles * column_tiles);
  const auto p = one_of(problems, product);
  const TileRange range = p.range();
  using Problem = std::remove_const_t<decltype(p)>;
  const int64_t m0 = int64_t{tile / column_tiles} * kTile,
                n0 = int64_t{tile % column_tiles} * kTile;

  // Load i of a thread: element (outer, depth) of a slab.
  constexpr int kStep = kTileThreads / (Problems::kADepthFast ? kSlab : kTile);
  constexpr int kBStep = kTileThreads / (Problems::kBDepthFast ? kSlab : kTile);
  const int am = Problems::kADepthFast ? t / kSlab : t % kTile;
  const int ak = Problems::kADepthFast ? t % kSlab : t / kTile;
  const int bn = Problems::kBDepthFast ? t / kSlab : t % kTile;
  const int bk = Problems::kBDepthFast ? t % kSlab : t / kTile;
  constexpr int kRows = Problems::kADepthFast ? kLoads : 1,
                kColumns = Problems::kBDepthFast ? kLoads : 1;
  typename Problem::Row rows[kRows];
  typename Problem::Column columns[kColumns];
#pragma unroll
  for (int i = 0; i < kRows; ++i) rows[i] = p.row(m0 + am + i * kStep);
#pragma unroll
  for (int i = 0; i < kColumns; ++i) columns[i] = p.column(n0 + bn + i * kBStep);

  A a_next[kLoads], b_next[kLoads];
  const auto value = [](const auto* at) { return at ? static_cast<A>(*at) : A(0); };
  const auto read = [&](int64_t k0) {
    if constexpr (Problems::kADepthFast) {
      const auto depth = p.depth(k0 + ak);
#pragma unroll
      for (int i = 0; i < kLoads; ++i) a_next[i] = value(p.a(rows[i], depth));
    } else {
#pragma unroll
      for (int i = 0; i < kLoads; ++i)
        a_next[i] = value(p.a(rows[0], p.depth(k0 + ak + i * kStep)));
    }
    if constexpr (Problems::kBDepthFast) {
      const auto depth = p.depth(k0 + bk);
#pragma unroll
      for (int i = 0; i < kLoads; ++i) b_next[i] = value(p.b(columns[i], depth));
    } else {
#pragma unroll
      for (int i = 0; i < kLoads; ++i)
        b_next[i] = value(p.b(columns[0], p.depth(k0 + bk + i * kBStep)));
    }
  };

  A sums[kSide][kSide] = {};
  const int row = t / 16 * kSide, column = t % 16 * kSide;
  if (range.begin < range.end) read(range.begin);
#pragma unroll 1
  for (int64_t k0 = range.begin; k0 < range.end; k0 += kSlab) {
    __syncthreads();  // the last slab has been used
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      a_slab[Problems::kADepthFast ? ak : ak + i * kStep]
            [Problems::kADepthFast ? am + i * kStep : am] = a_next[i];
      b_slab[Problems::kBDepthFast ? bk : bk + i * kBStep]
            [Problems::kBDepthFast ? bn + i * kBStep : bn] = b_next[i];
    }
    __syncthreads();
    if (k0 + kSlab < range.end) read(k0 + kSlab);
#pragma unroll
    for (int k = 0; k < kSlab; ++k) {
      A a[kSide], b[kSide];
#pragma unroll
      for (int i = 0; i < kSide; ++i) a[i] = a_slab[k][row + i];
#pragma unroll
      for (int j = 0; j < kSide; ++j) b[j] = b_slab[k][column + j];
#pragma unroll
      for (int i = 0; i < kSide; ++i)
#pragma unroll
        for (int j = 0; j < kSide; ++j) sums[i][j] += a[i] * b[j];
    }
  }
  const int64_t n = n0 + column, left = range.columns - n;
#pragma unroll
  for (int i = 0; i < kSide; ++i) {
    const int64_t m = m0 + row + i;
    if (m < range.rows && left > 0)
      p.store(m, n, sums[i], static_cast<int>(left < kSide ? left : kSide));
  }
}

}  // namespace brume::cuda
