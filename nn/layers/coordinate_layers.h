#pragma once
// Layers of networks that map coordinates to fields: SIREN, DGM, Kolmogorov-Arnold.

#include <string>

#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/fc_layer.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::nn {

enum class SirenLayerType { FIRST, HIDDEN, LAST };
Names names_of(SirenLayerType);

struct SirenLayerConfig {
  int64_t in_features = 0, out_features = 0;
  SirenLayerType layer_type = SirenLayerType::HIDDEN;
  double omega_0 = 30;
  template <class V>
  void fields(V& v) {
    v("in_features", in_features, required);
    v("out_features", out_features, required);
    v("layer_type", layer_type);
    v("omega_0", omega_0);
  }
};

/// sin(omega_0 * linear(x)); the last layer of a network is linear alone. Keys: linear.*
/// @source Sitzmann et al. 2020, arXiv:2006.09661
class SirenLayer : public Module {
 public:
  using Config = SirenLayerConfig;
  explicit SirenLayer(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  double omega_0_;
  bool is_last_;
  Ref<Linear> linear_;
};

struct DGMLayerConfig {
  int64_t in_features_1 = 0, in_features_2 = 0, out_features = 0;
  std::string activation_fn = "identity";
  bool weight_norm = false;  // matrices as in WeightForm::norm
  ActivationSlope activation_par{};
  template <class V>
  void fields(V& v) {
    v("in_features_1", in_features_1, required);
    v("in_features_2", in_features_2, required);
    v("out_features", out_features, required);
    v("activation_fn", activation_fn);
    v("weight_norm", weight_norm);
    v("activation_par", activation_par.fixed);
  }
};

/// act(slope * (linear_1(x) + linear_2(y) + bias)). Keys: activation_par, linear_1.*, linear_2.*,
/// bias
/// @source Sirignano and Spiliopoulos 2018, arXiv:1708.07469
class DGMLayer : public Module {
 public:
  using Config = DGMLayerConfig;
  explicit DGMLayer(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& y) const;

 private:
  Tensor bias_, slope_;
  Ref<NamedActivation> activation_;
  Ref<Linear> linear_1_, linear_2_;
  Ref<FactoredLinear> norm_1_, norm_2_;  // with weight_norm instead of the two above
};

struct KolmogorovArnoldNetworkConfig {
  int64_t input_dim = 0, output_dim = 0;
  int64_t num_harmonics = 5;
  bool add_bias = true;
  template <class V>
  void fields(V& v) {
    v("input_dim", input_dim, required);
    v("output_dim", output_dim, required);
    v("num_harmonics", num_harmonics);
    v("add_bias", add_bias);
  }
};

/// For each output a sum over inputs of Fourier series: cosines and sines of k x, k = 1 ..
/// num_harmonics. @shape x [B, input_dim] -> [B, output_dim]
/// @source Xu et al. 2024, arXiv:2406.01034
class KolmogorovArnoldNetwork : public Module {
 public:
  using Config = KolmogorovArnoldNetworkConfig;
  explicit KolmogorovArnoldNetwork(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor fourier_coeffs_, bias_;  // [2, output_dim, input_dim, harmonics], [1, output_dim]
};

}  // namespace brume::nn
