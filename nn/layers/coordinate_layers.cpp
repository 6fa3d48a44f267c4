#include <brume/nn/layers/coordinate_layers.h>

#include <cmath>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

Names names_of(SirenLayerType) {
  static constexpr const char* kNames[] = {"FIRST", "HIDDEN", "LAST"};
  return kNames;
}

SirenLayer::SirenLayer(const Config& c)
    : omega_0_(c.omega_0), is_last_(c.layer_type == SirenLayerType::LAST) {
  linear_ = child<Linear>("linear", LinearConfig::torch_default(c.in_features, c.out_features));
  const auto in = static_cast<double>(c.in_features);
  const bool first = c.layer_type == SirenLayerType::FIRST;
  detail::redraw(linear_->weight, Init::uniform(first ? 1 / in : std::sqrt(6 / in) / omega_0_));
  detail::redraw(linear_->bias, Init::uniform(1 / std::sqrt(in)));
}

Tensor SirenLayer::operator()(const Tensor& x) const {
  const Tensor y = linear_(x);
  return is_last_ ? y : sin(omega_0_ * y);
}

DGMLayer::DGMLayer(const Config& c) : slope_(c.activation_par.value()) {
  check(c.out_features > 0, "DGMLayer: out_features must be positive, got ", c.out_features);
  // The reference draws both matrices by the laws of their layers, and then anew.
  const auto xavier = [](const Tensor& weight) {
    const auto fans = static_cast<double>(weight.size(0) + weight.size(1));
    detail::redraw(weight, Init::uniform(std::sqrt(6 / fans)));
  };
  if (c.activation_par.shared.defined()) param("activation_par", slope_);
  bias_ = param("bias", {c.out_features}, Init::constant(0));
  activation_ = child<NamedActivation>("activation_fn", {.name = c.activation_fn});
  if (c.weight_norm) {
    const auto layer = [&](const char* name, int64_t in) {
      return child<FactoredLinear>(name, {in, c.out_features, WeightForm::norm, false});
    };
    norm_1_ = layer("linear_1", c.in_features_1);
    norm_2_ = layer("linear_2", c.in_features_2);
    xavier(norm_1_->direction());
    xavier(norm_2_->direction());
    return;
  }
  const auto layer = [&](const char* name, int64_t in) {
    return child<Linear>(name, LinearConfig::torch_default(in, c.out_features, false));
  };
  linear_1_ = layer("linear_1", c.in_features_1);
  linear_2_ = layer("linear_2", c.in_features_2);
  xavier(linear_1_->weight);
  xavier(linear_2_->weight);
}

Tensor DGMLayer::operator()(const Tensor& x, const Tensor& y) const {
  const Tensor sum = norm_1_ ? norm_1_(x) + norm_2_(y) : linear_1_(x) + linear_2_(y);
  return activation_(with_slope(slope_, sum + as_dtype(bias_, x)));
}

KolmogorovArnoldNetwork::KolmogorovArnoldNetwork(const Config& c) {
  check(c.input_dim > 0 && c.output_dim > 0 && c.num_harmonics > 0,
        "KolmogorovArnoldNetwork: input_dim, output_dim and num_harmonics must be positive, got ",
        c.input_dim, ", ", c.output_dim, ", ", c.num_harmonics);
  const auto terms = static_cast<double>(c.input_dim) * static_cast<double>(c.num_harmonics);
  fourier_coeffs_ = param("fourier_coeffs", {2, c.output_dim, c.input_dim, c.num_harmonics},
                          Init::normal(1 / std::sqrt(terms)));
  if (c.add_bias) bias_ = param("bias", {1, c.output_dim}, Init::constant(0));
}

Tensor KolmogorovArnoldNetwork::operator()(const Tensor& x) const {
  const int64_t out = fourier_coeffs_.size(1), in = fourier_coeffs_.size(2);
  const int64_t harmonics = fourier_coeffs_.size(3);
  check(x.rank() == 2 && x.size(1) == in, "KolmogorovArnoldNetwork: wants [B, ", in, "], got ",
        x.shape());
  const Tensor k = arange(1, harmonics, 1, {.dtype = x.dtype(), .device = x.device()});
  const Tensor angle = reshape(unsqueeze(x, 2) * k, {x.size(0), in * harmonics});
  const Tensor w = as_dtype(permute(fourier_coeffs_, {1, 0, 2, 3}), x);
  const Tensor y = linear(cat({cos(angle), sin(angle)}, 1), reshape(w, {out, -1}));
  return bias_.defined() ? y + as_dtype(bias_, y) : y;
}

}  // namespace brume::nn
