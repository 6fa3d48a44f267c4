// Family attention: softmax(q k^T scale + mask) v, tile by tile with an online softmax; backward
// recomputes the probabilities from the log-sums, once per tile of queries (gq, the mask's
// gradient) and once per tile of keys (gk, gv): seven products instead of five, no atomics, no
// workspace but one number per query.
//
// A block of 8 warps owns 32 rows (queries or keys), 4 a warp, and walks over tiles of 32 others. A
// lane computes the score of one of the others with each of its warp's rows: the other's row is
// read once for four multiply-adds, the own rows are broadcast. Scores then pass through shuffles,
// while a lane gathers every 32nd column of the results in registers. Any strides; rows lie in
// shared memory in f32, padded by one against bank conflicts. Sums in f32 (f64 for f64). bf16
// and f16 have kernels of their own (attention_tensor*.cu), but for the backward of heads wider
// than 128.

#include <brume/core/kernels/attention.h>

#include <brume/core/math/ceil_div.h>
#include <brume/cuda/kernels/attention_tensor.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/runtime.h>
#include <brume/cuda/scratch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/matrix_unit.cuh>
#include <brume/cuda/device/reduce.cuh>
#include <brume/cuda/device/shared.cuh>
#include <brume/cuda/kernels/attention_terms.cuh>

namespace brume::cuda {
namespace {

constexpr int kTile = 32, kWarps = 8, kThreads = kWarps * kWarpLanes, kOwn = kTile / kWarps;

/// Rows first .. first + 31 into shared memory, rows of `width` numbers `pitch` apart; zeros
/// beyond.
template <class T>
__device__ inline void load_tile(const Heads<T>& from, int first, int rows, int width,
                                 Wide<T>* tile) {
  const int pitch = width + 1;
  for (int i = static_cast<int>(threadIdx.x); i < kTile * width; i += kThreads) {
    const int r = i / width, c = i % width;
    tile[r * pitch + c] =
        first + r < rows ? static_cast<Wide<T>>(from.at(first + r, c)) : Wide<T>(0);
  }
}

/// Products of this warp's own rows with the lane's row of another tile.
template <class A>
__device__ inline void dot_rows(const A* own, const A* other, int width, A (&out)[kOwn]) {
  const int pitch = width + 1;
  const A* mine = own + static_cast<int>(threadIdx.x) / kWarpLanes * kOwn * pitch;
  const A* theirs = other + static_cast<int>(threadIdx.x) % kWarpLanes * pitch;
#pragma unroll
  for (int r = 0; r < kOwn; ++r) out[r] = 0;
#pragma unroll 4
  for (int c = 0; c < width; ++c) {
    const A x = theirs[c];
#pragma unroll
    for (int r = 0; r < kOwn; ++r) out[r] += mine[r * pitch + c] * x;
  }
}

/// sums[r][.] += factor of each lane * that lane's row of the other tile.
template <int kColumns, class A>
__device__ inline void add_rows(const A (&factor)[kOwn], const A* other, int width,
                                A (&sums)[kOwn][kColumns]) {
  const int pitch = width + 1, lane = static_cast<int>(threadIdx.x) % kWarpLanes;
#pragma unroll 1
  for (int j = 0; j < kTile; ++j) {
    A f[kOwn];
#pragma unroll
    for (int r = 0; r < kOwn; ++r) f[r] = from_lane(factor[r], j);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int column = c * kWarpLanes + lane;
      const A x = column < width ? other[j * pitch + column] : A(0);
#pragma unroll
      for (int r = 0; r < kOwn; ++r) sums[r][c] += f[r] * x;
    }
  }
}

/// Where a block stands.
struct Place {
  int64_t b, h, row;  // row: of (batch, head)
  int first;          // own row

  __device__ Place(int heads, int rows) {
    const auto tiles = static_cast<uint32_t>((rows + kTile - 1) / kTile);
    row = blockIdx.x / tiles;
    b = row / heads;
    h = row % heads;
    first = static_cast<int>(blockIdx.x % tiles) * kTile;
  }
  __device__ int own(int r) const {
    return first + static_cast<int>(threadIdx.x) / kWarpLanes * kOwn + r;
  }
};

template <class T, int kColumns>
__global__ void __launch_bounds__(kThreads) attend(AttentionTerms<T> x, Heads<T> o, Wide<T>* lse) {
  using A = Wide<T>;
  A* q_tile = dynamic_shared<A>();
  A* k_tile = q_tile + kTile * (x.width + 1);
  A* v_tile = k_tile + kTile * (x.width + 1);
  const Place at(x.heads, x.queries);
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const Heads<T> k = x.k.of(at.b, at.h), v = x.v.of(at.b, at.h);
  load_tile(x.q.of(at.b, at.h), at.first, x.queries, x.width, q_tile);
  A sums[kOwn][kColumns] = {}, most[kOwn], total[kOwn];
#pragma unroll
  for (int r = 0; r < kOwn; ++r) most[r] = static_cast<A>(-INFINITY), total[r] = 0;
  const int end = x.causal && at.first + kTile < x.keys ? at.first + kTile : x.keys;
#pragma unroll 1
  for (int key = 0; key < end; key += kTile) {
    __syncthreads();
    load_tile(k, key, x.keys, x.width, k_tile);
    load_tile(v, key, x.keys, x.value_width, v_tile);
    __syncthreads();
    A p[kOwn];
    dot_rows(q_tile, k_tile, x.width, p);
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      p[r] = x.score(at.b, at.h, at.own(r), key + lane, p[r]);
      const A now = Max::join(most[r], warp_reduce<Max>(p[r]));
      // Rows that have seen nothing keep a maximum of -inf; 0 stands for it in the differences.
      const A base = now == static_cast<A>(-INFINITY) ? A(0) : now;
      const A keep = exp_of(most[r] - base);
      p[r] = exp_of(p[r] - base);
      total[r] = total[r] * keep + warp_reduce<Sum>(p[r]);
      most[r] = now;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) sums[r][c] *= keep;
    }
    add_rows(p, v_tile, x.value_width, sums);
  }
  const Heads<T> to = o.of(at.b, at.h);
#pragma unroll
  for (int r = 0; r < kOwn; ++r) {
    const int query = at.own(r);
    if (query >= x.queries) continue;
    const bool nothing = total[r] == A(0);
    const A factor = nothing ? A(0) : 1 / total[r];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int column = c * kWarpLanes + lane;
      if (column < x.value_width) to.at(query, column) = static_cast<T>(sums[r][c] * factor);
    }
    if (lane == 0)
      lse[at.row * x.queries + query] =
          nothing ? static_cast<A>(-INFINITY) : most[r] + log_of(total[r]);
  }
}

// ---- backward

// delta = sum of go o over a row: a warp per query.
template <class T>
__global__ void __launch_bounds__(kThreads)
    row_products(int64_t rows, int heads, int queries, int width, Heads<T> o, Heads<T> go,
                 Wide<T>* delta) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarpLanes;
  if (row >= rows) return;  // a whole warp
  const int64_t head = row / queries, query = row % queries;
  const Heads<T> a = o.of(head / heads, head % heads), b = go.of(head / heads, head % heads);
  Wide<T> sum = 0;
  for (int c = static_cast<int>(threadIdx.x) % kWarpLanes; c < width; c += kWarpLanes)
    sum += static_cast<Wide<T>>(a.at(query, c)) * static_cast<Wide<T>>(b.at(query, c));
  sum = warp_reduce<Sum>(sum);
  if (threadIdx.x % kWarpLanes == 0) delta[row] = sum;
}

/// What backward needs beside the operands.
template <class T>
struct Backward {
  Heads<T> go;
  const Wide<T>*lse, *delta;
  Heads<T> first, second;  // gq; or gk and gv
  T* mask;                 // [B, heads, L, S], or null
};

// Own rows are queries (gq), or (kKeys) keys (gk, gv).
template <class T, int kColumns, bool kKeys>
__global__ void __launch_bounds__(kThreads) attend_backward(AttentionTerms<T> x, Backward<T> g) {
  using A = Wide<T>;
  const Place at(x.heads, kKeys ? x.keys : x.queries);
  const Heads<T> q = x.q.of(at.b, at.h), k = x.k.of(at.b, at.h), v = x.v.of(at.b, at.h),
                 go = g.go.of(at.b, at.h);
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int owned = kKeys ? x.keys : x.queries, others = kKeys ? x.queries : x.keys;
  A* own_tile = dynamic_shared<A>();  // q or k, then go or v
  A* own_values = own_tile + kTile * (x.width + 1);
  A* other_tile = own_values + kTile * (x.value_width + 1);
  A* other_values = other_tile + kTile * (x.width + 1);
  load_tile(kKeys ? k : q, at.first, owned, x.width, own_tile);
  load_tile(kKeys ? v : go, at.first, owned, x.value_width, own_values);
  A sums[kOwn][kColumns] = {}, values[kKeys ? kOwn : 1][kColumns] = {};
  int begin = 0, end = others;
  if (x.causal && kKeys) begin = at.first;  // earlier queries do not see these keys
  if (x.causal && !kKeys && !g.mask && at.first + kTile < others) end = at.first + kTile;
#pragma unroll 1
  for (int other = begin; other < end; other += kTile) {
    __syncthreads();
    load_tile(kKeys ? q : k, other, others, x.width, other_tile);
    load_tile(kKeys ? go : v, other, others, x.value_width, other_values);
    __syncthreads();
    A p[kOwn], slope[kOwn];
    dot_rows(own_tile, other_tile, x.width, p);
    dot_rows(own_values, other_values, x.value_width, slope);
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
      const int query = kKeys ? other + lane : at.own(r), key = kKeys ? at.own(r) : other + lane;
      const bool inside = query < x.queries && key < x.keys;
      const int64_t row = at.row * x.queries + query;
      const A sum = inside ? g.lse[row] : A(0);
      const A s = x.score(at.b, at.h, query, key, p[r]);
      p[r] = inside && sum > static_cast<A>(-INFINITY) ? exp_of(s - sum) : A(0);
      slope[r] = inside ? p[r] * (slope[r] - g.delta[row]) : A(0);
      if (!kKeys && g.mask && inside) g.mask[row * x.keys + key] = static_cast<T>(slope[r]);
      slope[r] *= x.scale;
    }
    add_rows(slope, other_tile, x.width, sums);
    if constexpr (kKeys) add_rows(p, other_values, x.value_width, values);
  }
  const Heads<T> to = g.first.of(at.b, at.h), to_values = g.second.of(at.b, at.h);
#pragma unroll
  for (int r = 0; r < kOwn; ++r) {
    const int own = at.own(r);
    if (own >= owned) continue;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int column = c * kWarpLanes + lane;
      if (to.data && column < x.width) to.at(own, column) = static_cast<T>(sums[r][c]);
      if constexpr (kKeys)
        if (to_values.data && column < x.value_width)
          to_values.at(own, column) = static_cast<T>(values[r][c]);
    }
  }
}

// ---- launches

int64_t width_of(const AttentionOperands& x) {
  return x.q.size(3) > x.v.size(3) ? x.q.size(3) : x.v.size(3);
}

void check_width(const char* op, const AttentionOperands& x) {
  check<ShapeError>(width_of(x) <= 256, op, ": the CUDA kernel takes heads up to 256 wide, got ",
                    width_of(x), "; move the tensors to the CPU");
}

/// f(Constant) with the number of columns a lane gathers.
template <class F>
void with_columns(const AttentionOperands& x, F f) {
  if (width_of(x) <= 64) return f(std::integral_constant<int, 2>{});
  f(std::integral_constant<int, 8>{});
}

uint32_t blocks_of(const char* op, const View& x) {
  return count32(op, x.size(0) * x.size(1) * ceil_div(x.size(2), kTile));
}

/// Bytes of `wide` tiles of q's width and `tall` of v's.
template <class T>
size_t shared_bytes(const AttentionOperands& x, int64_t wide, int64_t tall) {
  const int64_t numbers = wide * (x.q.size(3) + 1) + tall * (x.v.size(3) + 1);
  return static_cast<size_t>(numbers) * kTile * sizeof(Wide<T>);
}

void attention(const AttentionOperands& x, const AttentionParams& p, const View& o,
               const View& lse) {
  constexpr const char* kOp = "attention";
  check_width(kOp, x);
  if (is_half(o.dtype)) return attention_on_matrix_unit(x, p, o, lse);
  dispatch<float, double>(o.dtype, kOp, [&]<class T>(Type<T>) {
    with_columns(x, [&](auto columns) {
      launch(attend<T, columns.value>, blocks_of(kOp, x.q), kThreads, shared_bytes<T>(x, 2, 1),
             stream(kOp), AttentionTerms<T>(x, p), Heads<T>(o), lse.as<Wide<T>>());
    });
  });
}

void attention_backward(const AttentionOperands& x, const AttentionParams& p, const View& o,
                        const View& lse, const View& go, const AttentionOperands& grads) {
  constexpr const char* kOp = "attention_backward";
  check_width(kOp, x);
  dispatch<float, double, bf16, f16>(o.dtype, kOp, [&]<class T>(Type<T>) {
    const AttentionTerms<T> operands(x, p);
    const int64_t rows = o.size(0) * o.size(1) * o.size(2);
    Scratch scratch;
    auto* delta = scratch.take<Wide<T>>(rows);
    launch(row_products<T>, count32(kOp, ceil_div(rows, kWarps)), kThreads, 0, stream(kOp), rows,
           operands.heads, operands.queries, operands.value_width, Heads<T>(o), Heads<T>(go),
           delta);
    if constexpr (kOnMatrixUnit<T>)
      if (has_backward_on_matrix_unit(x))
        return attention_backward_on_matrix_unit(x, p, lse, delta, go, grads);
    Backward<T> g{.go = Heads<T>(go),
                  .lse = lse.as<Wide<T>>(),
                  .delta = delta,
                  .first = Heads<T>(grads.q),
                  .second = {},
                  .mask = grads.mask.as<T>()};
    const size_t bytes = shared_bytes<T>(x, 2, 2);
    with_columns(x, [&](auto columns) {
      if (grads.q || grads.mask)
        launch(attend_backward<T, columns.value, false>, blocks_of(kOp, x.q), kThreads, bytes,
               stream(kOp), operands, g);
      g.first = Heads<T>(grads.k);
      g.second = Heads<T>(grads.v);
      if (grads.k || grads.v)
        launch(attend_backward<T, columns.value, true>, blocks_of(kOp, x.k), kThreads, bytes,
               stream(kOp), operands, g);
    });
  });
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const AttentionKernels cuda_attention{.attention = cuda::attention,
                                      .attention_backward = cuda::attention_backward};

}  // namespace brume
