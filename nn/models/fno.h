#pragma once
// FNO: the Fourier neural operator, in one to four dimensions.

#include <string>
#include <vector>

#include <brume/autograd/ops/resample.h>
#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/layers/spectral_conv.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/module.h>

namespace brume::nn {

enum class PaddingType { constant, reflect, replicate, circular };
Names names_of(PaddingType);

struct FNOConfig {
  int64_t in_channels = 0, out_channels = 0;
  int64_t decoder_layers = 1, decoder_layer_size = 32;
  std::string decoder_activation_fn = "silu";
  int64_t dimension = 2;
  int64_t latent_channels = 32;
  int64_t num_fno_layers = 4;
  OneOrMany<int64_t> num_fno_modes = 16;
  OneOrMany<int64_t> padding = 8;  // at the end of each axis; a shorter list leaves the rest alone
  PaddingType padding_type = PaddingType::constant;
  std::string activation_fn = "gelu";
  bool coord_features = true;  // places from 0 to 1 as further channels

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("decoder_layers", decoder_layers);
    v("decoder_layer_size", decoder_layer_size);
    v("decoder_activation_fn", decoder_activation_fn);
    v("dimension", dimension);
    v("latent_channels", latent_channels);
    v("num_fno_layers", num_fno_layers);
    v("num_fno_modes", num_fno_modes);
    v("padding", padding);
    v("padding_type", padding_type);
    v("activation_fn", activation_fn);
    v("coord_features", coord_features);
  }
};

/// Two layers lift each point to latent_channels; then spectral convolutions beside linear maps of
/// each point, on a padded grid; a FullyConnected decodes each point.
/// Keys: decoder_net.*, spec_encoder.{lift_network, spconv_layers, conv_layers}.*
/// @shape  x [B, in_channels, ...] with `dimension` axes behind -> [B, out_channels, ...]
/// @source Li et al. 2021, arXiv:2010.08895
class FNO : public Module {
 public:
  using Config = FNOConfig;
  explicit FNO(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  Ref<ConvNd> lift_layer(const std::string& name, int64_t in, int64_t out);
  Ref<ConvNd> point_layer(int64_t in, int64_t out) const;
  Tensor on_points(const ConvNd& layer, const Tensor& x, const Tensor& residual = {}) const;
  Tensor with_coordinates(const Tensor& x) const;

  int64_t dimension_, in_channels_;
  bool coord_features_;
  std::vector<int64_t> padding_;
  PadMode pad_mode_;
  Ref<FullyConnected> decoder_net_;
  Ref<ConvNd> lift_in_, lift_out_;
  Ref<NamedActivation> activation_;
  std::vector<Ref<SpectralConv>> spconv_layers_;
  std::vector<Ref<ConvNd>> conv_layers_;
};

}  // namespace brume::nn
