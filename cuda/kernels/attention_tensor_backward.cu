// Backward of attention in bf16 and f16 on the matrix unit, for heads up to 128 wide. Probabilities
// are recomputed from the log-sums, once by blocks that own queries (gq, the mask's gradient) and
// once by blocks that own keys (gk, gv): seven products instead of five, no atomics, no workspace.
// With own and other rows of q, k and of v, go the two are one text:
//   scores = own other^T         slope = own_values other_values^T
//   gq or gk += slope other      gv += p other_values
// Tiles of 64 others for heads up to 64 wide, of 32 up to 128. Shared memory: 48 and 64 KB.

#include <brume/cuda/kernels/attention_tensor.h>

#include <type_traits>

#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/runtime.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/shared.cuh>
#include <brume/cuda/kernels/attention_tensor.cuh>

namespace brume::cuda {
namespace {

template <int kWidth>
constexpr int kOthers = kWidth == 64 ? 64 : 32;
template <int kWidth>
constexpr size_t kSharedBytes =
    size_t{2} * kTileBytes<kOwnRows, kWidth> + size_t{4} * kTileBytes<kOthers<kWidth>, kWidth>;

/// What backward needs beside the operands.
template <class T>
struct Gradients {
  Heads<T> go;
  const float *lse, *delta;
  Heads<T> first, second;  // gq; or gk and gv
  T* mask;                 // [B, heads, L, S], or null
  bool q_packs, k_packs, v_packs, go_packs;
};

template <class T, int kWidth, bool kKeys>
__global__ void __launch_bounds__(kAttentionThreads)
    attend_backward_on_matrix_unit(AttentionTerms<T> x, Gradients<T> g) {
  constexpr int kCount = kOthers<kWidth>, kTile = kTileBytes<kCount, kWidth>;
  unsigned char* own_tile = dynamic_shared<unsigned char>();
  unsigned char* own_values = own_tile + kTileBytes<kOwnRows, kWidth>;
  unsigned char* stages = own_values + kTileBytes<kOwnRows, kWidth>;  // two of (other, its values)
  const int owned = kKeys ? x.keys : x.queries, others = kKeys ? x.queries : x.keys;
  const auto tiles = static_cast<uint32_t>((owned + kOwnRows - 1) / kOwnRows);
  const int64_t row = blockIdx.x / tiles, batch = row / x.heads, head = row % x.heads;
  const int first = static_cast<int>(blockIdx.x % tiles) * kOwnRows;
  const Heads<T> q = x.q.of(batch, head), k = x.k.of(batch, head), v = x.v.of(batch, head),
                 go = g.go.of(batch, head);
  int begin = 0, end = others;
  if (x.causal && kKeys) begin = first;  // earlier queries do not see these keys
  if (x.causal && !kKeys && !g.mask && first + kOwnRows < others) end = first + kOwnRows;
  const auto copy = [&](int other, int stage) {
    unsigned char* to = stages + stage * 2 * kTile;
    if (other < end) {
      copy_rows<kCount, kWidth>(kKeys ? q : k, other, others, x.width,
                                kKeys ? g.q_packs : g.k_packs, to);
      copy_rows<kCount, kWidth>(kKeys ? go : v, other, others, x.value_width,
                                kKeys ? g.go_packs : g.v_packs, to + kTile);
    }
    copy_commit();
  };
  copy_rows<kOwnRows, kWidth>(kKeys ? k : q, first, owned, x.width, kKeys ? g.k_packs : g.q_packs,
                              own_tile);
  copy_rows<kOwnRows, kWidth>(kKeys ? v : go, first, owned, x.value_width,
                              kKeys ? g.v_packs : g.go_packs, own_values);
  copy(begin, 0);

  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int own =
      first + static_cast<int>(threadIdx.x) / kWarpLanes * 16 + lane / 4;  // and own + 8
  float sums[kWidth / 8][4] = {}, values[kKeys ? kWidth / 8 : 1][4] = {};
  int stage = 0;
#pragma unroll 1
  for (int other = begin; other < end; other += kCount) {
    copy_wait<0>();
    __syncthreads();  // this tile is there, and nobody reads the other stage any more
    copy(other + kCount, 1 - stage);
    const unsigned char* other_tile = stages + stage * 2 * kTile;
    float p[kCount / 8][4], slope[kCount / 8][4];
    multiply_rows<T, kWidth, kCount>(own_tile, other_tile, x.width, p);
    multiply_rows<T, kWidth, kCount>(own_values, other_tile + kTile, x.value_width, slope);
#pragma unroll
    for (int j = 0; j < kCount / 8; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int mine = own + e / 2 * 8, theirs = other + 8 * j + lane % 4 * 2 + e % 2;
        const int query = kKeys ? theirs : mine, key = kKeys ? mine : theirs;
        const bool inside = query < x.queries && key < x.keys;
        const int64_t at = row * x.queries + query;
        const float sum = inside ? g.lse[at] : 0.0F;
        const float s = x.score(batch, head, query, key, p[j][e]);
        p[j][e] = inside && sum > -INFINITY ? exp_of(s - sum) : 0.0F;
        slope[j][e] = inside ? p[j][e] * (slope[j][e] - g.delta[at]) : 0.0F;
        if (!kKeys && g.mask && inside) g.mask[at * x.keys + key] = static_cast<T>(slope[j][e]);
        slope[j][e] *= x.scale;
      }
    add_rows<T, kWidth, kCount>(slope, other_tile, x.width, sums);
    if constexpr (kKeys) add_rows<T, kWidth, kCount>(p, other_tile + kTile, x.value_width, values);
    stage = 1 - stage;
  }
  copy_wait<0>();
  if (g.first.data) store_rows<T, kWidth>(g.first.of(batch, head), own, owned, x.width, sums);
  if constexpr (kKeys)
    if (g.second.data)
      store_rows<T, kWidth>(g.second.of(batch, head), own, owned, x.value_width, values);
}

template <class T, int kWidth>
void launch_backward(const char* op, const AttentionOperands& x, const AttentionTerms<T>& terms,
                     Gradients<T> g, const AttentionOperands& grads) {
  const auto blocks = [&](const View& own) {
    return count32(op, own.size(0) * own.size(1) * ceil_div(own.size(2), kOwnRows));
  };
  if (grads.q || grads.mask) {
    g.first = Heads<T>(grads.q);
    launch(attend_backward_on_matrix_unit<T, kWidth, false>, blocks(x.q), kAttentionThreads,
           kSharedBytes<kWidth>, stream(op), terms, g);
  }
  if (grads.k || grads.v) {
    g.first = Heads<T>(grads.k);
    g.second = Heads<T>(grads.v);
    launch(attend_backward_on_matrix_unit<T, kWidth, true>, blocks(x.k), kAttentionThreads,
           kSharedBytes<kWidth>, stream(op), terms, g);
  }
}

}  // namespace

bool has_backward_on_matrix_unit(const AttentionOperands& x) {
  return x.q.size(3) <= 128 && x.v.size(3) <= 128;
}

void attention_backward_on_matrix_unit(const AttentionOperands& x, const AttentionParams& p,
                                       const View& lse, const float* delta, const View& go,
                                       const AttentionOperands& grads) {
  constexpr const char* kOp = "attention_backward";
  dispatch<bf16, f16>(go.dtype, kOp, [&]<class T>(Type<T>) {
    const AttentionTerms<T> terms(x, p);
    const Heads<T> slopes(go);
    const Gradients<T> g{.go = slopes,
                         .lse = lse.as<float>(),
                         .delta = delta,
                         .first = {},
                         .second = {},
                         .mask = grads.mask.as<T>(),
                         .q_packs = rows_in_packs(terms.q, terms.width),
                         .k_packs = rows_in_packs(terms.k, terms.width),
                         .v_packs = rows_in_packs(terms.v, terms.value_width),
                         .go_packs = rows_in_packs(slopes, terms.value_width)};
    if (terms.width <= 64 && terms.value_width <= 64)
      launch_backward<T, 64>(kOp, x, terms, g, grads);
    else
      launch_backward<T, 128>(kOp, x, terms, g, grads);
  });
}

}  // namespace brume::cuda
