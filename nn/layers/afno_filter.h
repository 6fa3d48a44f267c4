#pragma once
// The token mixer of AFNO: an MLP on each frequency of a grid of tokens.

#include <string>

#include <brume/nn/layers/mlp.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct AFNO2DLayerConfig {
  int64_t hidden_size = 0;
  int64_t num_blocks = 8;
  double sparsity_threshold = 0.01;
  double hard_thresholding_fraction = 1;  // frequencies that are kept
  int64_t hidden_size_factor = 1;

  template <class V>
  void fields(V& v) {
    v("hidden_size", hidden_size, required);
    v("num_blocks", num_blocks);
    v("sparsity_threshold", sparsity_threshold);
    v("hard_thresholding_fraction", hard_thresholding_fraction);
    v("hidden_size_factor", hidden_size_factor);
  }
};

/// Fourier transform over a grid, two complex layers of num_blocks blocks on each kept frequency,
/// soft shrinkage, and back; x is added. Keys: w1, b1, w2, b2, whose first axis is real, imaginary.
/// @shape  x [B, H, W, hidden_size] -> same
/// @source Guibas et al. 2022, arXiv:2111.13587
class AFNO2DLayer : public Module {
 public:
  using Config = AFNO2DLayerConfig;
  explicit AFNO2DLayer(const Config& c);
  Tensor operator()(const Tensor& x) const { return run(x, {}, x.size(1)); }

 protected:
  /// Of a complex affine map of the hidden numbers, [B, hidden, 2] both. Undefined: the identity.
  struct Modulation {
    Tensor scale{}, shift{};
  };
  /// `edge`: the length that decides how many frequencies there are to keep.
  Tensor run(const Tensor& x, const Modulation& modulation, int64_t edge) const;
  int64_t hidden() const { return config_.hidden_size * config_.hidden_size_factor; }

 private:
  Config config_;
  Tensor w1_, b1_, w2_, b2_;  // [2, blocks, in, out], [2, blocks, out]
};

enum class ScaleShiftMode { real, complex };
Names names_of(ScaleShiftMode);

struct ScaleShiftMlpConfig {
  int64_t in_features = 0, out_features = 0;
};

/// From a vector, 1 + scale and shift of other numbers. Keys: net.layers.<i>.*
/// @shape  [B, in_features] -> two of [B, out_features]
class ScaleShiftMlp : public Module {
 public:
  using Config = ScaleShiftMlpConfig;
  explicit ScaleShiftMlp(const Config& c);
  struct ScaleShift {
    Tensor scale, shift;
  };
  ScaleShift operator()(const Tensor& x) const;
  /// Older files lack `layers`.
  LegacyKeys legacy_keys() const override;

 private:
  Ref<Mlp> net_;
};

struct ModAFNO2DLayerConfig {
  AFNO2DLayerConfig layer{};
  int64_t mod_features = 0;
  ScaleShiftMode scale_shift_mode = ScaleShiftMode::complex;
};

/// AFNO2DLayer whose hidden numbers are scaled and shifted by a vector.
/// @shape  x [B, H, W, hidden_size], mod [B, mod_features] -> as x
/// @source Leinonen et al. 2024, arXiv:2410.18904
class ModAFNO2DLayer : public AFNO2DLayer {
 public:
  using Config = ModAFNO2DLayerConfig;
  explicit ModAFNO2DLayer(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& mod) const;

 private:
  bool complex_;
  Ref<ScaleShiftMlp> scale_shift_;
};

}  // namespace brume::nn
