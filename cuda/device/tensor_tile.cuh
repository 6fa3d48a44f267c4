#pragma once
// The one matrix product on the matrix unit, for bf16 and f16: a block of 2 kTile threads makes a
// tile of kTile x kTile f32 sums, each warp kTile / 2 x 32 of them, from slabs of depth 64 that
// asynchronous copies bring into a ring of three stages: one barrier a slab. What is multiplied is
// told by a Problem (matrix_tile.cuh); which tile is taken does not show in the bits.
//
// kTile 128: 64 sums a thread, 96 KB of shared memory; 64: 32 sums, 48 KB.

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include <brume/cuda/device/copy_async.cuh>
#include <brume/cuda/device/matrix_tile.cuh>
#include <brume/cuda/device/matrix_unit.cuh>
#include <brume/cuda/device/shared.cuh>

namespace brume::cuda {

constexpr int kTensorSlab = 64, kStages = 3;

template <int kTile>
constexpr int kTensorThreads = 2 * kTile;
template <int kTile>
constexpr int kFactorBytes = kTile* kTensorSlab * 2;  // of one factor's slab
template <int kTile>
constexpr size_t kTensorBytes = size_t{kStages} * 2 * kFactorBytes<kTile>;

/// The left and the right factor of a Problem under the same names.
template <class Problem>
struct LeftFactor {
  using Outer = typename Problem::Row;
  const Problem& p;
  __device__ Outer outer(int64_t i) const { return p.row(i); }
  __device__ auto at(const Outer& o, const typename Problem::Depth& d) const { return p.a(o, d); }
};
template <class Problem>
struct RightFactor {
  using Outer = typename Problem::Column;
  const Problem& p;
  __device__ Outer outer(int64_t i) const { return p.column(i); }
  __device__ auto at(const Outer& o, const typename Problem::Depth& d) const { return p.b(o, d); }
};

/// Brings slabs of one factor into shared memory: as [outer][depth] if its neighbours along the
/// depth are neighbours in memory, otherwise as panels of [depth][64 outer].
template <int kTile, bool kDepthFast, class T, class Factor>
class SlabCopy {
 public:
  /// packs: every chunk lies on 16 bytes of memory and is inside or outside as a whole.
  __device__ SlabCopy(const Factor& factor, int64_t first, bool packs, const T* somewhere)
      : factor_(factor), first_(first), packs_(packs), somewhere_(somewhere) {
#pragma unroll
    for (int i = 0; i < kOuters; ++i) outers_[i] = factor_.outer(first_ + outer(i));
  }
  __device__ void operator()(unsigned char* tile, int64_t slab, int64_t end) const {
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      const int64_t k = slab + depth(i);
      unsigned char* to = tile + place(i);
      const auto& own = outers_[kDepthFast ? i : 0];
      if (packs_) {
        const T* from = k < end ? factor_.at(own, factor_.p.depth(k)) : nullptr;
        copy_async(to, from ? from : somewhere_, from != nullptr);
      } else {
        gather(to, own, k, end);
      }
    }
  }

 private:
  static constexpr int kChunks = 4, kOuters = kDepthFast ? kChunks : 1;
  static constexpr int kAcross = kDepthFast ? kTensorSlab / kRun : kTile / kRun;  // chunks a line
  static constexpr int kStep = kTensorThreads<kTile> / kAcross;                   // lines apart

  Factor factor_;
  int64_t first_;
  bool packs_;
  const T* somewhere_;
  typename Factor::Outer outers_[kOuters];

  __device__ static int line(int i) { return static_cast<int>(threadIdx.x) / kAcross + i * kStep; }
  __device__ static int chunk() { return static_cast<int>(threadIdx.x) % kAcross; }
  __device__ static int outer(int i) { return kDepthFast ? line(i) : chunk() * kRun; }
  __device__ static int depth(int i) { return kDepthFast ? chunk() * kRun : line(i); }
  __device__ static int place(int i) {
    return chunk() / 8 * (kTensorSlab * kTileRow) + swizzled(line(i), chunk() % 8);
  }
  __device__ void gather(unsigned char* to, const typename Factor::Outer& own, int64_t k,
                         int64_t end) const {
#pragma unroll 1
    for (int e = 0; e < kRun; ++e) {
      const int64_t at = kDepthFast ? k + e : k;
      const T* from = nullptr;
      if (at < end)
        from = factor_.at(kDepthFast ? own : factor_.outer(first_ + outer(0) + e),
                          factor_.p.depth(at));
      reinterpret_cast<T*>(to)[e] = from ? *from : T{};
    }
  }
};

/// The sums of one warp: kTile / 2 x 32 of the block's tile.
template <class T, int kTile>
class WarpTile {
 public:
  template <bool kADepthFast, bool kBDepthFast>
  __device__ void multiply(const unsigned char* a_tile, const unsigned char* b_tile) {
#pragma unroll
    for (int k = 0; k < kTensorSlab; k += 16) {
      uint32_t a[kRows][4], b[2][4];
#pragma unroll
      for (int i = 0; i < kRows; ++i)
        load_a<kADepthFast>(a[i], a_tile + panel<kADepthFast>(row()),
                            within<kADepthFast>(row()) + 16 * i, k);
#pragma unroll
      for (int j = 0; j < 2; ++j)
        load_b<kBDepthFast>(b[j], b_tile + panel<kBDepthFast>(column()),
                            within<kBDepthFast>(column()) + 16 * j, k);
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          multiply_add<T>(sums_[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }
  /// Writes the sums where they stand in the block's tile, rows `pitch` apart.
  __device__ void put(float* tile, int pitch) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float* to = tile + (row() + 16 * i + lane / 4) * pitch + column() + 8 * j + lane % 4 * 2;
        *reinterpret_cast<float2*>(to) = float2{sums_[i][j][0], sums_[i][j][1]};
        *reinterpret_cast<float2*>(to + 8 * pitch) = float2{sums_[i][j][2], sums_[i][j][3]};
      }
  }

 private:
  static constexpr int kRows = kTile / 2 / 16;
  float sums_[kRows][4][4] = {};

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int row() { return warp() % 2 * (kTile / 2); }
  __device__ static int column() { return warp() / 2 * 32; }
  template <bool kDepthFast>
  __device__ static int panel(int outer) {
    return kDepthFast ? 0 : outer / 64 * (kTensorSlab * kTileRow);
  }
  template <bool kDepthFast>
  __device__ static int within(int outer) {
    return kDepthFast ? outer : outer % 64;
  }
};

/// One tile of one product; blocks as in multiply_tile. Problems also tell
///   a_packs, b_packs    whether every 8 neighbours of the factor, counted from a multiple of 8,
///                       lie on a 16-byte boundary and are inside or outside as a whole
///   and a product has `a_data`, `b_data`: addresses inside the factors.
template <int kTile, class Problems>
__device__ inline void multiply_tensor_tile(const Problems& problems, uint32_t row_tiles,
                                            uint32_t column_tiles) {
  using T = typename Problems::Element;
  constexpr bool kA = Problems::kADepthFast, kB = Problems::kBDepthFast;
  unsigned char* stages = dynamic_shared<unsigned char>();
  const uint32_t product = blockIdx.x / (row_tiles * column_tiles);
  const uint32_t tile = blockIdx.x - product * (row_tiles * column_tiles);
  const auto p = one_of(problems, product);
  using Problem = std::remove_const_t<decltype(p)>;
  const TileRange range = p.range();
  const int64_t m0 = int64_t{tile / column_tiles} * kTile,
                n0 = int64_t{tile % column_tiles} * kTile;
  const SlabCopy<kTile, kA, T, LeftFactor<Problem>> copy_a({p}, m0, problems.a_packs, p.a_data);
  const SlabCopy<kTile, kB, T, RightFactor<Problem>> copy_b({p}, n0, problems.b_packs, p.b_data);
  const auto copy = [&](int64_t slab, int stage) {
    unsigned char* to = stages + stage * 2 * kFactorBytes<kTile>;
    if (slab < range.end) {
      copy_a(to, slab, range.end);
      copy_b(to + kFactorBytes<kTile>, slab, range.end);
    }
    copy_commit();  // an empty group keeps the count
  };

  WarpTile<T, kTile> sums;
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) copy(range.begin + i * kTensorSlab, i);
  int stage = 0;
#pragma unroll 1
  for (int64_t slab = range.begin; slab < range.end; slab += kTensorSlab) {
    copy_wait<kStages - 2>();
    __syncthreads();  // this slab is there, and the stage of the one before it is free
    copy(slab + (kStages - 1) * kTensorSlab, stage == 0 ? kStages - 1 : stage - 1);
    const unsigned char* at = stages + stage * 2 * kFactorBytes<kTile>;
    sums.template multiply<kA, kB>(at, at + kFactorBytes<kTile>);
    stage = stage == kStages - 1 ? 0 : stage + 1;
  }
  copy_wait<0>();
  __syncthreads();

  // Through shared memory to runs of 8, so that a row is read and written in whole chunks.
  constexpr int kPitch = kTile + 4;
  static_assert(kTile * kPitch * sizeof(float) <= kTensorBytes<kTile>);
  auto* results = reinterpret_cast<float*>(stages);
  sums.put(results, kPitch);
  __syncthreads();
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kTile / kRun;
       i += kTensorThreads<kTile>) {
    const int row = i / (kTile / kRun), column = i % (kTile / kRun) * kRun;
    const int64_t m = m0 + row, n = n0 + column, left = range.columns - n;
    if (m >= range.rows || left <= 0) continue;
    float run[kRun];
#pragma unroll
    for (int j = 0; j < kRun; ++j) run[j] = results[row * kPitch + column + j];
    p.store(m, n, run, static_cast<int>(left < kRun ? left : kRun));
  }
}

}  // namespace brume::cuda
