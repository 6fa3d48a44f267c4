#pragma once
// The one matrix product on the matrix unit: a block of 2 kTile threads makes a tile of kTile x
// kTile f32 sums, each warp kTile / 2 x 32 of them, from slabs of 128 bytes of the depth that
// asynchronous copies bring into a ring of three stages: one barrier a slab. What is multiplied is
// told by a Problem (matrix_tile.cuh), in which form by matrix_forms.cuh; which tile is taken does
// not show in the bits.
//
// kTile 128: 64 sums a thread, 96 KB of shared memory; 64: 32 sums, 48 KB.

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include <brume/cuda/device/copy_async.cuh>
#include <brume/cuda/device/matrix_forms.cuh>
#include <brume/cuda/device/matrix_tile.cuh>
#include <brume/cuda/device/shared.cuh>

namespace brume::cuda {

constexpr int kStages = 3;

template <int kTile>
constexpr int kTensorThreads = 2 * kTile;
template <int kTile>
constexpr int kFactorBytes = kTile* kTileRow;  // of one factor's slab
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
/// depth are neighbours in memory, otherwise as panels of [depth][128 bytes of outer].
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
  static constexpr int kChunks = 4, kOuters = kDepthFast ? kChunks : 1, kCount = kChunkCount<T>;
  static constexpr int kAcross = kDepthFast ? kTileRow / kChunk : kTile / kCount;  // chunks a line
  static constexpr int kStep = kTensorThreads<kTile> / kAcross;                    // lines apart

  Factor factor_;
  int64_t first_;
  bool packs_;
  const T* somewhere_;
  typename Factor::Outer outers_[kOuters];

  __device__ static int line(int i) { return static_cast<int>(threadIdx.x) / kAcross + i * kStep; }
  __device__ static int chunk() { return static_cast<int>(threadIdx.x) % kAcross; }
  __device__ static int outer(int i) { return kDepthFast ? line(i) : chunk() * kCount; }
  __device__ static int depth(int i) { return kDepthFast ? chunk() * kCount : line(i); }
  __device__ static int place(int i) {
    return chunk() / 8 * (kRowCount<T> * kTileRow) +
           place_in_tile<T, kDepthFast>(line(i), chunk() % 8);
  }
  __device__ void gather(unsigned char* to, const typename Factor::Outer& own, int64_t k,
                         int64_t end) const {
#pragma unroll 1
    for (int e = 0; e < kCount; ++e) {
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
template <class Form, int kTile>
class WarpTile {
 public:
  template <bool kADepthFast, bool kBDepthFast>
  __device__ void multiply(const unsigned char* a_tile, const unsigned char* b_tile) {
    using Fragment = typename Form::Fragment;
#pragma unroll
    for (int k = 0; k < kSlabCount; k += Form::kDepth) {
      Fragment a[kRows], b[2];
#pragma unroll
      for (int i = 0; i < kRows; ++i)
        a[i] = Form::template load_left<kADepthFast>(a_tile + panel<kADepthFast>(row(), 16 * i),
                                                     within<kADepthFast>(row(), 16 * i), k);
#pragma unroll
      for (int j = 0; j < 2; ++j)
        b[j] = Form::template load_right<kBDepthFast>(b_tile + panel<kBDepthFast>(column(), 16 * j),
                                                      within<kBDepthFast>(column(), 16 * j), k);
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) Form::multiply_add(sums_[i][j], a[i], b[j / 2], j % 2);
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
  // Numbers in a row of a tile; those of a slab along the depth are as many.
  static constexpr int kSlabCount = kRowCount<typename Form::Element>;
  static constexpr int kRows = kTile / 2 / 16;
  float sums_[kRows][4][4] = {};

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int row() { return warp() % 2 * (kTile / 2); }
  __device__ static int column() { return warp() / 2 * 32; }
  // Where `first + more` stands; no panel ends between the two but where `more` does.
  template <bool kDepthFast>
  __device__ static int panel(int first, int more) {
    return kDepthFast ? 0 : (first / kSlabCount + more / kSlabCount) * (kSlabCount * kTileRow);
  }
  template <bool kDepthFast>
  __device__ static int within(int first, int more) {
    return kDepthFast ? first + more : first % kSlabCount + more % kSlabCount;
  }
};

/// One tile of one product; blocks as in multiply_tile. Problems also tell
///   a_packs, b_packs    whether every chunk of neighbours of the factor (in_packs) lies on a
///                       16-byte boundary and is inside or outside as a whole
///   and a product has `a_data`, `b_data`: addresses inside the factors.
template <class Form, int kTile, class Problems>
__device__ inline void multiply_tensor_tile(const Problems& problems, uint32_t row_tiles,
                                            uint32_t column_tiles) {
  using T = typename Problems::Element;
  constexpr int kSlabCount = kRowCount<T>;
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

  WarpTile<Form, kTile> sums;
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) copy(range.begin + i * kSlabCount, i);
  int stage = 0;
#pragma unroll 1
  for (int64_t slab = range.begin; slab < range.end; slab += kSlabCount) {
    copy_wait<kStages - 2>();
    __syncthreads();  // this slab is there, and the stage of the one before it is free
    copy(slab + (kStages - 1) * kSlabCount, stage == 0 ? kStages - 1 : stage - 1);
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
