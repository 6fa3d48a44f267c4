#pragma once
// Pix2Pix: a convolutional encoder, residual blocks, a decoder; in one to three dimensions.

#include <functional>
#include <string>
#include <vector>

#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/conv_nd.h>
#include <brume/nn/module.h>

namespace brume::nn {

enum class BorderType { reflect, replicate, zero };
Names names_of(BorderType);

struct Pix2PixConfig {
  int64_t in_channels = 0, out_channels = 0;
  int64_t dimension = 0;
  int64_t conv_layer_size = 64;
  int64_t n_downsampling = 3, n_upsampling = 3, n_blocks = 3;
  std::string activation_fn = "relu";
  bool batch_norm = false;
  BorderType padding_type = BorderType::reflect;  // inside the residual blocks

  template <class V>
  void fields(V& v) {
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    v("dimension", dimension, required);
    v("conv_layer_size", conv_layer_size);
    v("n_downsampling", n_downsampling);
    v("n_upsampling", n_upsampling);
    v("n_blocks", n_blocks);
    v("activation_fn", activation_fn);
    v("batch_norm", batch_norm);
    v("padding_type", padding_type);
  }
};

/// Fewer upsampling steps than downsampling ones are not possible: the reference then takes as
/// many. Keys: model.<place in the sequence>.*, where paddings and activations count as places
/// @shape  x [B, in_channels, ...] -> [B, out_channels, ...]; sizes are multiples of
///         2^n_downsampling
/// @source Isola et al. 2017, arXiv:1611.07004; Wang et al. 2018, arXiv:1711.11585
class Pix2Pix : public Module {
 public:
  using Config = Pix2PixConfig;
  explicit Pix2Pix(const Config& c);
  Tensor operator()(const Tensor& x) const;

 private:
  using Step = std::function<Tensor(const Tensor&)>;
  /// A sequence under a prefix, its places counted.
  struct Sequence {
    std::string prefix;
    std::vector<Step> steps{};
    int places = 0;
    std::string next() { return prefix + std::to_string(places++); }
    Tensor operator()(Tensor x) const;
  };
  void add_padding(Sequence& s, int64_t amount, BorderType type);
  void add_conv(Sequence& s, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                int64_t padding);
  void add_up(Sequence& s, int64_t in, int64_t out);
  void add_norm(Sequence& s, int64_t channels);
  void add_activation(Sequence& s);
  void add_residual_block(Sequence& s, int64_t channels);

  Config config_;
  Ref<NamedActivation> activation_;
  Sequence model_{"model."};
};

}  // namespace brume::nn
