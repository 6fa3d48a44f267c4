#pragma once
// What the matrix unit multiplies, as forms of one interface that the tiles are written for:
//   Halves<T>  bf16 or f16, as they are stored
//   Tf32       f32 rounded to 10 bits of mantissa
//   Bf16x3     f32 as sums of two bf16, hi + lo: hi hi + hi lo + lo hi; what is not finite becomes
//              NaN
// A form has
//   Element      what is stored
//   kDepth       of one step
//   Fragment     of 16 rows of the left factor, or of 16 columns of the right one
//   load_left, load_right<kDepthFast>(tile, outer, depth)
//   multiply_add(sums, left, right, which)    which: of the two groups of 8 columns

#include <cuda_runtime.h>

#include <bit>
#include <cstdint>

#include <brume/cuda/device/matrix_unit.cuh>

#ifndef __CUDACC__
#include <brume/cuda/emu/block.h>
#endif

namespace brume::cuda {

/// The byte where a chunk of a tile stands. Rows of f32 across the depth are read number by number,
/// 4 rows of 8 neighbours at a time: in this order these lie in 32 banks.
template <class T, bool kDepthFast>
__device__ inline int place_in_tile(int row, int chunk) {
  if constexpr (sizeof(T) == 4 && !kDepthFast)
    return row * kTileRow + ((chunk ^ (row & 3) * 2) * kChunk);
  else
    return swizzled(row, chunk);
}

template <class T>
struct Halves {
  using Element = T;
  static constexpr int kDepth = 16;
  struct Fragment {
    uint32_t at[4];
  };

  template <bool kDepthFast>
  __device__ static Fragment load_left(const unsigned char* tile, int outer, int depth) {
    Fragment f;
    load_a<kDepthFast>(f.at, tile, outer, depth);
    return f;
  }
  template <bool kDepthFast>
  __device__ static Fragment load_right(const unsigned char* tile, int outer, int depth) {
    Fragment f;
    load_b<kDepthFast>(f.at, tile, outer, depth);
    return f;
  }
  __device__ static void multiply_add(float (&sums)[4], const Fragment& a, const Fragment& b,
                                      int which) {
    cuda::multiply_add<T>(sums, a.at, b.at[2 * which], b.at[2 * which + 1]);
  }
};

// ---- f32

/// A step of 8 of an f32 tile, as multiply_add_tf32 wants its left factor: bits of numbers.
template <bool kDepthFast>
__device__ inline void load_left_words(uint32_t (&a)[4], const unsigned char* tile, int outer,
                                       int depth);
/// The same for the right factor, two groups of 8 columns.
template <bool kDepthFast>
__device__ inline void load_right_words(uint32_t (&b)[4], const unsigned char* tile, int outer,
                                        int depth);

/// The bits of an f32 rounded to TF32: 10 bits of mantissa, nearest, ties away from zero.
__device__ inline uint32_t to_tf32(uint32_t bits) {
#ifdef __CUDACC__
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(bits)));
  return rounded;
#else
  if ((bits & 0x7fffffffU) > 0x7f800000U) return 0x7fffffffU;  // the one NaN
  return (bits + 0x1000U) & 0xffffe000U;
#endif
}

/// sums += a b for a [16, 8] and b [8, 8] of TF32, f32 sums. Sums as in multiply_add; with r = l /
/// 4 and c = l % 4, lane l holds
///   a      (r, c) (r + 8, c) (r, c + 4) (r + 8, c + 4)
///   b      column r, depths c and c + 4
__device__ inline void multiply_add_tf32(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  struct Parts {
    float a[4], b[2];
  } mine;
  // The unit does not see the lower 13 bits.
  const auto seen = [](uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000U); };
  for (int i = 0; i < 4; ++i) mine.a[i] = seen(a[i]);
  mine.b[0] = seen(b0);
  mine.b[1] = seen(b1);
  emu::show(mine, {"multiply_add_tf32", __FILE__, __LINE__}, ~0U);
  const int lane = emu::lane();
  const auto parts = [](int of) { return static_cast<const Parts*>(emu::shown_by(of)); };
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4, column = lane % 4 * 2 + i % 2;
    float sum = 0;
    for (int k = 0; k < 8; ++k)
      sum += parts(row * 4 + k % 4)->a[i / 2 + k / 4 * 2] * parts(column * 4 + k % 4)->b[k / 4];
    sums[i] += sum;
  }
#endif
}

struct Tf32 {
  using Element = float;
  static constexpr int kDepth = 8;
  struct Fragment {
    uint32_t at[4];
  };

  template <bool kDepthFast>
  __device__ static Fragment load_left(const unsigned char* tile, int outer, int depth) {
    Fragment f;
    load_left_words<kDepthFast>(f.at, tile, outer, depth);
    return rounded(f);
  }
  template <bool kDepthFast>
  __device__ static Fragment load_right(const unsigned char* tile, int outer, int depth) {
    Fragment f;
    load_right_words<kDepthFast>(f.at, tile, outer, depth);
    return rounded(f);
  }
  __device__ static void multiply_add(float (&sums)[4], const Fragment& a, const Fragment& b,
                                      int which) {
    multiply_add_tf32(sums, a.at, b.at[2 * which], b.at[2 * which + 1]);
  }

 private:
  __device__ static Fragment rounded(const Fragment& f) {
    return {{to_tf32(f.at[0]), to_tf32(f.at[1]), to_tf32(f.at[2]), to_tf32(f.at[3])}};
  }
};

struct Bf16x3 {
  using Element = float;
  static constexpr int kDepth = 16;
  struct Fragment {
    uint32_t high[4], low[4];
  };

  // In which order the depth stands in a step does not matter, as long as both factors have the
  // same: the unit's neighbours are numbers that two steps of 8 have 4 apart.
  template <bool kDepthFast>
  __device__ static Fragment load_left(const unsigned char* tile, int outer, int depth) {
    uint32_t first[4], second[4];
    load_left_words<kDepthFast>(first, tile, outer, depth);
    load_left_words<kDepthFast>(second, tile, outer, depth + 8);
    Fragment f;
    split(f, 0, first[0], first[2]);
    split(f, 1, first[1], first[3]);
    split(f, 2, second[0], second[2]);
    split(f, 3, second[1], second[3]);
    return f;
  }
  template <bool kDepthFast>
  __device__ static Fragment load_right(const unsigned char* tile, int outer, int depth) {
    uint32_t first[4], second[4];
    load_right_words<kDepthFast>(first, tile, outer, depth);
    load_right_words<kDepthFast>(second, tile, outer, depth + 8);
    Fragment f;
    split(f, 0, first[0], first[1]);
    split(f, 1, second[0], second[1]);
    split(f, 2, first[2], first[3]);
    split(f, 3, second[2], second[3]);
    return f;
  }
  __device__ static void multiply_add(float (&sums)[4], const Fragment& a, const Fragment& b,
                                      int which) {
    cuda::multiply_add<bf16>(sums, a.low, b.high[2 * which], b.high[2 * which + 1]);
    cuda::multiply_add<bf16>(sums, a.high, b.low[2 * which], b.low[2 * which + 1]);
    cuda::multiply_add<bf16>(sums, a.high, b.high[2 * which], b.high[2 * which + 1]);
  }

 private:
  __device__ static void split(Fragment& f, int i, uint32_t first, uint32_t second) {
    const auto x = std::bit_cast<float>(first), y = std::bit_cast<float>(second);
    f.high[i] = pack_pair<bf16>(x, y);
    f.low[i] = pack_pair<bf16>(x - std::bit_cast<float>(f.high[i] << 16),
                               y - std::bit_cast<float>(f.high[i] & 0xffff0000U));
  }
};

/// The number (outer, depth) of a tile of f32 whose rows run across the depth.
__device__ inline uint32_t word_across(const unsigned char* tile, int outer, int depth) {
  return *reinterpret_cast<const uint32_t*>(tile + place_in_tile<float, false>(depth, outer / 4) +
                                            outer % 4 * 4);
}

template <bool kDepthFast>
__device__ inline void load_left_words(uint32_t (&a)[4], const unsigned char* tile, int outer,
                                       int depth) {
  // Chunks of a row hold half as many numbers, and a step needs two as well.
  if constexpr (kDepthFast) {
    load_a<true>(a, tile, outer, 2 * depth);
  } else {
    const int lane = static_cast<int>(threadIdx.x) % 32, r = outer + lane / 4, c = depth + lane % 4;
    a[0] = word_across(tile, r, c);
    a[1] = word_across(tile, r + 8, c);
    a[2] = word_across(tile, r, c + 4);
    a[3] = word_across(tile, r + 8, c + 4);
  }
}
template <bool kDepthFast>
__device__ inline void load_right_words(uint32_t (&b)[4], const unsigned char* tile, int outer,
                                        int depth) {
  if constexpr (kDepthFast) {
    load_b<true>(b, tile, outer, 2 * depth);
  } else {
    const int lane = static_cast<int>(threadIdx.x) % 32, r = outer + lane / 4, c = depth + lane % 4;
    b[0] = word_across(tile, r, c);
    b[1] = word_across(tile, r, c + 4);
    b[2] = word_across(tile, r + 8, c);
    b[3] = word_across(tile, r + 8, c + 4);
  }
}

}  // namespace brume::cuda
