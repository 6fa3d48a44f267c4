#include <brume/nn/layers/layer_norm.h>

#include <brume/autograd/ops/norm.h>

namespace brume::nn {

LayerNorm::LayerNorm(const Config& c) : eps_(c.eps) {
  check(c.width > 0, "LayerNorm: the width must be positive, got ", c.width);
  if (!c.elementwise_affine) return;
  weight_ = param("weight", {c.width}, Init::constant(1));
  bias_ = param("bias", {c.width}, Init::constant(0));
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  return layer_norm(x, as_dtype(weight_, x), as_dtype(bias_, x), eps_);
}

RmsNorm::RmsNorm(const Config& c) : eps_(c.eps) {
  check(c.width > 0, "RmsNorm: the width must be positive, got ", c.width);
  if (c.elementwise_affine) weight_ = param("weight", {c.width}, Init::constant(1));
}

Tensor RmsNorm::operator()(const Tensor& x) const {
  return rms_norm(x, as_dtype(weight_, x), eps_);
}

}  // namespace brume::nn
