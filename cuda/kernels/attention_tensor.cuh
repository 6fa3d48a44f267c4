#pragma once
// What forward and backward of attention on the matrix unit are made of. A block of 4 warps owns 64
// rows and walks over tiles of others; the two products of a tile chain in registers, since scores
// lie as the first leaves them and as the second wants its left factor. Widths in between are
// filled with zeros, and steps of 16 that hold nothing else are left out.

#include <cuda_runtime.h>

#include <cstdint>

#include <brume/cuda/device/copy_async.cuh>
#include <brume/cuda/device/matrix_unit.cuh>
#include <brume/cuda/device/reduce.cuh>
#include <brume/cuda/kernels/attention_terms.cuh>

namespace brume::cuda {

/// Rows that a block owns, 16 a warp.
constexpr int kOwnRows = 64, kAttentionThreads = 128;

/// A tile is panels of kRows rows of 64 numbers.
template <int kRows>
constexpr int kPanel = kRows* kTileRow;
template <int kRows, int kWidth>
constexpr int kTileBytes = kWidth / 64 * kPanel<kRows>;

/// Whether rows of `width` numbers are read in chunks of 8.
template <class T>
bool rows_in_packs(const Heads<T>& x, int width) {
  return x.column == 1 && in_packs(x.data, width, {x.batch, x.head, x.row});
}

/// Rows first .. first + kRows - 1, zeros beyond what is there.
template <int kRows, int kWidth, class T>
__device__ inline void copy_rows(const Heads<T>& from, int first, int rows, int width, bool packs,
                                 unsigned char* tile) {
  constexpr int kAcross = kWidth / kRun;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kAcross; i += kAttentionThreads) {
    const int r = i / kAcross, c = i % kAcross;
    unsigned char* to = tile + c / 8 * kPanel<kRows> + swizzled(r, c % 8);
    const bool there = first + r < rows && c * kRun < width;
    if (packs) {
      copy_async(to, there ? &from.at(first + r, c * kRun) : from.data, there);
    } else {
#pragma unroll 1
      for (int e = 0; e < kRun; ++e)
        reinterpret_cast<T*>(to)[e] =
            there && c * kRun + e < width ? from.at(first + r, c * kRun + e) : T{};
    }
  }
}

/// scores [16, kOthers] = own other^T of this warp's own rows.
template <class T, int kWidth, int kOthers>
__device__ inline void multiply_rows(const unsigned char* own_tile, const unsigned char* other_tile,
                                     int width, float (&scores)[kOthers / 8][4]) {
  const int own = static_cast<int>(threadIdx.x) / kWarpLanes * 16;
#pragma unroll
  for (int j = 0; j < kOthers / 8; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) scores[j][e] = 0;
#pragma unroll
  for (int d = 0; d < kWidth; d += 16) {
    if (d >= width) continue;
    uint32_t a[4];
    load_a<true>(a, own_tile + d / 64 * kPanel<kOwnRows>, own, d % 64);
#pragma unroll
    for (int j = 0; j < kOthers / 16; ++j) {
      uint32_t b[4];
      load_b<true>(b, other_tile + d / 64 * kPanel<kOthers>, 16 * j, d % 64);
      multiply_add<T>(scores[2 * j], a, b[0], b[1]);
      multiply_add<T>(scores[2 * j + 1], a, b[2], b[3]);
    }
  }
}

/// sums [16, kWidth] += factors other, the factors [16, kOthers] lying as multiply_rows leaves
/// scores; they are rounded to T.
template <class T, int kWidth, int kOthers>
__device__ inline void add_rows(const float (&factors)[kOthers / 8][4],
                                const unsigned char* other_tile, int width,
                                float (&sums)[kWidth / 8][4]) {
#pragma unroll
  for (int r = 0; r < kOthers; r += 16) {
    const auto &left = factors[r / 8], &right = factors[r / 8 + 1];
    const uint32_t a[4] = {pack_pair<T>(left[0], left[1]), pack_pair<T>(left[2], left[3]),
                           pack_pair<T>(right[0], right[1]), pack_pair<T>(right[2], right[3])};
#pragma unroll
    for (int c = 0; c < kWidth; c += 16) {
      if (c >= width) continue;
      uint32_t b[4];
      load_b<false>(b, other_tile + c / 64 * kPanel<kOthers>, c % 64, r);
      multiply_add<T>(sums[c / 8], a, b[0], b[1]);
      multiply_add<T>(sums[c / 8 + 1], a, b[2], b[3]);
    }
  }
}

/// Writes the sums of rows own and own + 8, as far as there are so many rows and columns.
template <class T, int kWidth>
__device__ inline void store_rows(const Heads<T>& to, int own, int rows, int width,
                                  const float (&sums)[kWidth / 8][4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = own + e / 2 * 8;
    if (row >= rows) continue;
#pragma unroll
    for (int c = 0; c < kWidth / 8; ++c) {
      const int column = 8 * c + lane % 4 * 2 + e % 2;
      if (column < width) to.at(row, column) = static_cast<T>(sums[c][e]);
    }
  }
}

}  // namespace brume::cuda
