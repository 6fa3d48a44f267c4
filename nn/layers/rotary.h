#pragma once
// Rotary positions of tokens that lie on a grid.

#include <array>

#include <brume/nn/module.h>

namespace brume::nn {

struct RotaryEmbedding2DTablesConfig {
  int64_t head_dim = 0;
  std::array<int64_t, 2> latent_hw{};
  double theta = 10000;

  template <class V>
  void fields(V& v) {
    std::vector<int64_t> size(latent_hw.begin(), latent_hw.end());
    v("head_dim", head_dim, required);
    v("latent_hw", size, required);
    v("theta", theta);
    check(size.size() == 2, "RotaryEmbedding2DTables: latent_hw wants 2 sizes, got ", size.size());
    latent_hw = {size[0], size[1]};
  }
};

/// Cosines and sines of the angles by which pairs of channels are turned: the first half of a head
/// by the token's row, the second by its column, with frequencies theta^(-2 k / half).
/// @throws ShapeError if head_dim is no multiple of 4
/// @source Su et al. 2021, arXiv:2104.09864
class RotaryEmbedding2DTables : public Module {
 public:
  using Config = RotaryEmbedding2DTablesConfig;
  explicit RotaryEmbedding2DTables(const Config& c);

  Tensor rope_cos, rope_sin;  // [h, w, head_dim]; computed, never saved
};

/// Pairs (a, b) of neighbouring channels become (a cos - b sin, a sin + b cos), in f32.
/// @shape  x [B, heads, h * w, head_dim], cosines and sines [h, w, head_dim]
Tensor rotate_pairs(const Tensor& x, const Tensor& cosines, const Tensor& sines);

}  // namespace brume::nn
