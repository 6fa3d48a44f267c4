// Attention in bf16 and f16, forward, on the matrix unit: softmax(q k^T scale + mask) v with an
// online softmax. A block owns 64 queries and walks over tiles of 64 keys, the next of which is
// copied while this one is multiplied. Shared memory: 40, 80 and 160 KB for heads up to 64, 128 and
// 256 wide.

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

constexpr int kKeys = 64;

struct Packs {
  bool q, k, v;
};

/// The running softmax of the two rows of which a lane holds a part.
struct Softmax {
  float most[2] = {-INFINITY, -INFINITY}, total[2] = {};

  /// Scores become exp(score - maximum); sums made under an older maximum are brought down to it.
  template <int kCount>
  __device__ void add(float (&scores)[8][4], float (&sums)[kCount][4]) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float now = most[h];
#pragma unroll
      for (int j = 0; j < 8; ++j)
        now = Max::join(now, Max::join(scores[j][2 * h], scores[j][2 * h + 1]));
      now = quad_reduce<Max>(now);
      // Rows that have seen nothing keep a maximum of -inf; 0 stands for it in the differences.
      const float base = now == -INFINITY ? 0.0F : now;
      const float keep = exp_of(most[h] - base);
      most[h] = now;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int e = 2 * h; e < 2 * h + 2; ++e) {
          scores[j][e] = exp_of(scores[j][e] - base);
          sum += scores[j][e];
        }
      total[h] = total[h] * keep + quad_reduce<Sum>(sum);
#pragma unroll
      for (int c = 0; c < kCount; ++c) {
        sums[c][2 * h] *= keep;
        sums[c][2 * h + 1] *= keep;
      }
    }
  }
};

template <class T, int kWidth>
__global__ void __launch_bounds__(kAttentionThreads, kWidth == 64 ? 3 : 1)
    attend_on_matrix_unit(AttentionTerms<T> x, Packs packs, Heads<T> o, float* lse) {
  constexpr int kTile = kTileBytes<kKeys, kWidth>;
  unsigned char* q_tile = dynamic_shared<unsigned char>();
  unsigned char* stages = q_tile + kTile;  // two of (k, v)
  const auto tiles = static_cast<uint32_t>((x.queries + kOwnRows - 1) / kOwnRows);
  const int64_t row = blockIdx.x / tiles, batch = row / x.heads, head = row % x.heads;
  const int first = static_cast<int>(blockIdx.x % tiles) * kOwnRows;
  const Heads<T> k = x.k.of(batch, head), v = x.v.of(batch, head);
  const int end = x.causal && first + kOwnRows < x.keys ? first + kOwnRows : x.keys;
  const auto copy = [&](int key, int stage) {
    unsigned char* to = stages + stage * 2 * kTile;
    if (key < end) {
      copy_rows<kKeys, kWidth>(k, key, x.keys, x.width, packs.k, to);
      copy_rows<kKeys, kWidth>(v, key, x.keys, x.value_width, packs.v, to + kTile);
    }
    copy_commit();
  };
  copy_rows<kOwnRows, kWidth>(x.q.of(batch, head), first, x.queries, x.width, packs.q, q_tile);
  copy(0, 0);

  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int own =
      first + static_cast<int>(threadIdx.x) / kWarpLanes * 16 + lane / 4;  // and own + 8
  float sums[kWidth / 8][4] = {};
  Softmax softmax;
  int stage = 0;
#pragma unroll 1
  for (int key = 0; key < end; key += kKeys) {
    copy_wait<0>();
    __syncthreads();  // this tile is there, and nobody reads the other stage any more
    copy(key + kKeys, 1 - stage);
    const unsigned char* at = stages + stage * 2 * kTile;
    float scores[8][4];
    multiply_rows<T, kWidth, kKeys>(q_tile, at, x.width, scores);
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        scores[j][e] =
            x.score(batch, head, own + e / 2 * 8, key + 8 * j + lane % 4 * 2 + e % 2, scores[j][e]);
    softmax.add(scores, sums);
    add_rows<T, kWidth, kKeys>(scores, at + kTile, x.value_width, sums);
    stage = 1 - stage;
  }
  copy_wait<0>();

#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int query = own + 8 * h;
    const bool nothing = softmax.total[h] == 0.0F;
    const float factor = nothing ? 0.0F : 1 / softmax.total[h];
#pragma unroll
    for (int c = 0; c < kWidth / 8; ++c) {
      sums[c][2 * h] *= factor;
      sums[c][2 * h + 1] *= factor;
    }
    if (lane % 4 == 0 && query < x.queries)
      lse[row * x.queries + query] =
          nothing ? -INFINITY : softmax.most[h] + log_of(softmax.total[h]);
  }
  store_rows<T, kWidth>(o.of(batch, head), own, x.queries, x.value_width, sums);
}

}  // namespace

void attention_on_matrix_unit(const AttentionOperands& x, const AttentionParams& p, const View& o,
                              const View& lse) {
  constexpr const char* kOp = "attention";
  dispatch<bf16, f16>(o.dtype, kOp, [&]<class T>(Type<T>) {
    const AttentionTerms<T> terms(x, p);
    const Packs packs{rows_in_packs(terms.q, terms.width), rows_in_packs(terms.k, terms.width),
                      rows_in_packs(terms.v, terms.value_width)};
    const auto go = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      launch(attend_on_matrix_unit<T, kWidth>,
             count32(kOp, x.q.size(0) * x.q.size(1) * ceil_div(x.q.size(2), kOwnRows)),
             kAttentionThreads, size_t{5} * kTileBytes<kKeys, kWidth>, stream(kOp), terms, packs,
             Heads<T>(o), lse.as<float>());
    };
    const int width = terms.width > terms.value_width ? terms.width : terms.value_width;
    if (width <= 64)
      go(std::integral_constant<int, 64>{});
    else if (width <= 128)
      go(std::integral_constant<int, 128>{});
    else
      go(std::integral_constant<int, 256>{});
  });
}

}  // namespace brume::cuda
