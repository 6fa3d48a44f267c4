#include <brume/nn/layers/linear.h>

#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

Init init_of(const LinearConfig& c, double gain) {
  if (c.in_features == 0) return Init::uniform(0);
  return Init::fan(c.init_mode, c.in_features, c.out_features, gain);
}

}  // namespace

Linear::Linear(const Config& c) {
  check(c.in_features >= (c.bias ? 0 : 1) && c.out_features > 0,
        "Linear: in_features and out_features must be positive, got ", c.in_features, " and ",
        c.out_features);
  weight = param("weight", {c.out_features, c.in_features}, init_of(c, c.init_weight));
  if (c.bias) bias = param("bias", {c.out_features}, init_of(c, c.init_bias));
}

Tensor Linear::operator()(const Tensor& x) const {
  if (weight.size(1) == 0) {
    check(x.rank() > 0 && x.size(-1) == 0, "Linear: wants [..., 0], got ", x.shape());
    Shape shape = x.shape();
    shape[x.rank() - 1] = bias.size(0);
    return expand(as_dtype(bias, x), shape);
  }
  return linear(x, as_dtype(weight, x), as_dtype(bias, x));
}

}  // namespace brume::nn
