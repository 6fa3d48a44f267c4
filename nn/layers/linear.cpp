#include <brume/nn/layers/linear.h>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

Init init_of(const LinearConfig& c, double gain) {
  return Init::fan(c.init_mode, c.in_features, c.out_features, gain);
}

}  // namespace

Linear::Linear(const Config& c) {
  check(c.in_features > 0 && c.out_features > 0,
        "Linear: in_features and out_features must be positive, got ", c.in_features, " and ",
        c.out_features);
  weight = param("weight", {c.out_features, c.in_features}, init_of(c, c.init_weight));
  if (c.bias) bias = param("bias", {c.out_features}, init_of(c, c.init_bias));
}

Tensor Linear::operator()(const Tensor& x) const {
  return linear(x, as_dtype(weight, x), as_dtype(bias, x));
}

}  // namespace brume::nn
