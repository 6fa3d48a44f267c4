#pragma once
// The matrix unit: fragments of a product, spread over the lanes of a warp, and the shared-memory
// tile that they are read from. Every lane of the warp takes part in each call. The host's twins do
// the same lane by lane, so that layouts are checked where no GPU is; what they cannot show are the
// last bits, since the unit sums the products of a step in an order of its own.

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include <brume/core/dtype.h>

#ifndef __CUDACC__
#include <brume/cuda/emu/block.h>
#endif

namespace brume::cuda {

/// What the matrix unit multiplies.
template <class T>
constexpr bool kOnMatrixUnit = std::is_same_v<T, bf16> || std::is_same_v<T, f16>;

/// Rows of a tile are 128 bytes long. Its 16-byte chunk c of row r stands at chunk c ^ (r % 8), so
/// that 8 rows of one chunk column lie in different banks.
constexpr int kTileRow = 128, kChunk = 16, kRun = 8;  // a chunk is a run of 8 numbers of 16 bits
/// Numbers in a row, and in a chunk.
template <class T>
constexpr int kRowCount = kTileRow / static_cast<int>(sizeof(T));
template <class T>
constexpr int kChunkCount = kChunk / static_cast<int>(sizeof(T));

/// Whether a matrix is read in chunks: `inner` neighbours lie side by side, everything else (where
/// it begins, how far its lines are apart) is a multiple of a chunk's numbers.
template <class T>
bool in_packs(const T* data, int64_t inner, std::initializer_list<int64_t> strides) {
  bool all = reinterpret_cast<uintptr_t>(data) % 16 == 0 && inner % kChunkCount<T> == 0;
  for (const int64_t stride : strides) all &= stride % kChunkCount<T> == 0;
  return all;
}

/// The byte where a chunk of a tile stands.
__device__ inline int swizzled(int row, int chunk) {
  return row * kTileRow + ((chunk ^ (row & 7)) * kChunk);
}

/// Two neighbours of 16 bits.
template <class T>
__device__ inline uint32_t pack_pair(float low, float high) {
  return uint32_t{T(high).bits} << 16 | T(low).bits;
}

#ifdef __CUDACC__
template <>
__device__ inline uint32_t pack_pair<bf16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
template <>
__device__ inline uint32_t pack_pair<f16>(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
#endif

/// Reads four 8x8 matrices of 16-bit numbers: lane l names (the start of) row l % 8 of matrix
/// l / 8, and receives in out[j] the numbers (l / 4, 2 (l % 4)) and the one behind it of matrix j,
/// or (kTranspose) of its transpose.
template <bool kTranspose>
__device__ inline void load_matrices(uint32_t (&out)[4], const void* row) {
#ifdef __CUDACC__
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(at)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(at)
                 : "memory");
#else
  struct Row {
    uint16_t at[8];
  } mine;
  std::memcpy(&mine, row, sizeof mine);
  emu::show(mine, {"load_matrices", __FILE__, __LINE__}, ~0U);
  const int lane = emu::lane(), line = lane / 4, pair = lane % 4 * 2;
  const auto at = [](int matrix, int r, int c) -> uint32_t {
    return static_cast<const Row*>(emu::shown_by(8 * matrix + r))->at[c];
  };
  for (int j = 0; j < 4; ++j)
    out[j] = kTranspose ? at(j, pair + 1, line) << 16 | at(j, pair, line)
                        : at(j, line, pair + 1) << 16 | at(j, line, pair);
#endif
}

/// sums += a b for a [16, 16] (rows along the depth) and b [16, 8] (columns along the depth), f32
/// sums of products of T. Lane l holds, with r = l / 4 and c = 2 (l % 4),
///   sums   (r, c) (r, c + 1) (r + 8, c) (r + 8, c + 1)
///   a      pairs from (r, c) (r + 8, c) (r, c + 8) (r + 8, c + 8)
///   b      pairs of column r from depth c, c + 8
template <class T>
__device__ inline void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  static_assert(kOnMatrixUnit<T>);
#ifdef __CUDACC__
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  struct Parts {
    float a[4][2], b[2][2];
  } mine;
  static_assert(sizeof mine <= emu::kSlotBytes);
  const auto unpack = [](uint32_t pair, float(&to)[2]) {
    T half{};
    for (int h = 0; h < 2; ++h) {
      half.bits = static_cast<uint16_t>(pair >> 16 * h);
      to[h] = static_cast<float>(half);
    }
  };
  for (int i = 0; i < 4; ++i) unpack(a[i], mine.a[i]);
  unpack(b0, mine.b[0]);
  unpack(b1, mine.b[1]);
  emu::show(mine, {"multiply_add", __FILE__, __LINE__}, ~0U);
  const int lane = emu::lane();
  const auto parts = [](int of) { return static_cast<const Parts*>(emu::shown_by(of)); };
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4, column = lane % 4 * 2 + i % 2, half = i / 2;
    float sum = 0;
    for (int k = 0; k < 16; ++k) {
      const int quarter = k % 8 / 2, upper = k / 8;
      sum += parts(row * 4 + quarter)->a[half + 2 * upper][k % 2] *
             parts(column * 4 + quarter)->b[upper][k % 2];
    }
    sums[i] += sum;
  }
#endif
}

// Fragments out of a swizzled tile of 16-bit numbers. kDepthFast: the tile's rows run along the
// depth, [outer][64 of the depth]; otherwise [depth][64 outer].

/// a (outer .. + 15, depth .. + 15).
template <bool kDepthFast>
__device__ inline void load_a(uint32_t (&a)[4], const unsigned char* tile, int outer, int depth) {
  const int l = static_cast<int>(threadIdx.x) % 32;
  if constexpr (kDepthFast)
    load_matrices<false>(a, tile + swizzled(outer + (l & 15), depth / 8 + (l >> 4)));
  else
    load_matrices<true>(
        a, tile + swizzled(depth + (l >> 4) * 8 + (l & 7), outer / 8 + ((l >> 3) & 1)));
}

/// b of two neighbouring products of 8 columns: depth .. + 15, outer .. + 15. The first takes
/// b[0], b[1], the second b[2], b[3].
template <bool kDepthFast>
__device__ inline void load_b(uint32_t (&b)[4], const unsigned char* tile, int outer, int depth) {
  const int l = static_cast<int>(threadIdx.x) % 32;
  if constexpr (kDepthFast)
    load_matrices<false>(
        b, tile + swizzled(outer + (l >> 4) * 8 + (l & 7), depth / 8 + ((l >> 3) & 1)));
  else
    load_matrices<true>(
        b, tile + swizzled(depth + ((l >> 3) & 1) * 8 + (l & 7), outer / 8 + (l >> 4)));
}

}  // namespace brume::cuda
