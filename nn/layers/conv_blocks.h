#pragma once
// Convolutions with an activation, as the reference's older models use them.

#include <optional>
#include <string>

#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/layers/fc_layer.h>
#include <brume/nn/module.h>

namespace brume::nn {

struct ConvLayerConfig {
  int64_t in_channels = 0, out_channels = 0;
  int64_t kernel_size = 0, stride = 1;
  int64_t dimension = 0;
  std::string activation_fn = "identity";

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("kernel_size", kernel_size, required);
    v("stride", stride);
    v("dimension", dimension, required);
    v("activation_fn", activation_fn);
  }
};

/// A convolution whose result has ceil(n / stride) places: the padding that this takes is split,
/// the larger half at the end. Keys: conv.*
class ConvLayer : public Module {
 public:
  using Config = ConvLayerConfig;
  explicit ConvLayer(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Config config_;
  Ref<ConvNd> conv_;
  Ref<NamedActivation> activation_;
};

/// A transposed convolution, cut by the amount that ConvLayer would pad. Keys: trans_conv.*
class TransposeConvLayer : public Module {
 public:
  using Config = ConvLayerConfig;
  explicit TransposeConvLayer(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Config config_;
  Ref<ConvTransposeNd> trans_conv_;
  Ref<NamedActivation> activation_;
};

struct ConvGRULayerConfig {
  int64_t in_features = 0, hidden_size = 0;
  int64_t dimension = 0;
  std::string activation_fn = "relu";

  template <class V>
  void fields(V& v) {
    v("in_features", in_features, required);
    v("hidden_size", hidden_size, required);
    v("dimension", dimension, required);
    v("activation_fn", activation_fn);
  }
};

/// One step of a gated recurrent unit on a grid. Keys: conv_1.conv.*, conv_2.conv.*
/// @shape  x [B, in_features, ...], hidden [B, hidden_size, ...] -> as hidden
/// @source Ballas et al. 2016, arXiv:1511.06432
class ConvGRULayer : public Module {
 public:
  using Config = ConvGRULayerConfig;
  explicit ConvGRULayer(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& hidden) const;

 private:
  Ref<ConvLayer> conv_1_, conv_2_;
  Ref<NamedActivation> activation_;
};

/// The arguments of a layer that maps each place by itself.
template <int kD>
struct ConvFCLayerConfig {
  int64_t in_features = 0, out_features = 0;  // in JSON in_channels and out_channels but for 1
  std::optional<std::string> activation_fn{};
  ActivationSlope activation_par{};
  bool weight_norm = false;  // refused, as the reference does

  template <class V>
  void fields(V& v) {
    v(kD == 1 ? "in_features" : "in_channels", in_features, required);
    v(kD == 1 ? "out_features" : "out_channels", out_features, required);
    v("activation_fn", activation_fn);
    v("activation_par", activation_par.fixed);
    if (kD == 1) v("weight_norm", weight_norm);
  }
};

/// FullyConnected's layer for each place of a grid. Keys: conv.*, activation_par
/// @throws Error on weight_norm
/// @shape  x [B, in_features, ...] -> [B, out_features, ...]
template <int kD>
class ConvFCLayer : public Module {
 public:
  using Config = ConvFCLayerConfig<kD>;
  explicit ConvFCLayer(const Config& c);
  Tensor operator()(const Tensor& x) const { return activation_(with_slope(slope_, conv_(x))); }

 private:
  Tensor slope_;
  Ref<ConvNd> conv_;
  Ref<NamedActivation> activation_;
};
using Conv1dFCLayer = ConvFCLayer<1>;
using Conv2dFCLayer = ConvFCLayer<2>;  // its bias is 0 and frozen, as in the reference
using Conv3dFCLayer = ConvFCLayer<3>;

/// The same for any number of axes. Keys: conv.conv.*, activation_par
class ConvNdFCLayer : public Module {
 public:
  using Config = ConvFCLayerConfig<0>;
  explicit ConvNdFCLayer(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor slope_;
  Ref<ConvNd> conv_;
  Ref<NamedActivation> activation_;
};

}  // namespace brume::nn
