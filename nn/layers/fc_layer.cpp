#include <brume/nn/layers/fc_layer.h>

#include <cmath>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/reduce.h>

namespace brume::nn {

FactoredLinear::FactoredLinear(const Config& c) : form_(c.form) {
  check(c.in_features > 0 && c.out_features > 0,
        "FullyConnected: the width of a layer must be positive, got ", c.in_features, " and ",
        c.out_features);
  const Shape matrix{c.out_features, c.in_features}, row{c.out_features};
  const auto in = static_cast<double>(c.in_features), out = static_cast<double>(c.out_features);
  const Init xavier = Init::uniform(std::sqrt(6 / (in + out))), zero = Init::constant(0);
  switch (form_) {
    case WeightForm::plain: {
      // The reference draws PyTorch's values first and drops them.
      const Init dropped = Init::fan(InitMode::fan_in_uniform, c.in_features, c.out_features);
      detail::initial_tensor(matrix, dropped);
      if (c.bias) detail::initial_tensor(row, dropped);
      direction_ = param("weight", matrix, xavier);
      if (c.bias) bias_ = param("bias", row, zero);
      break;
    }
    case WeightForm::norm:
      direction_ = param("weight", matrix, xavier);
      length_ = param("weight_g", {c.out_features, 1}, Init::constant(1));
      if (c.bias) bias_ = param("bias", row, zero);
      break;
    case WeightForm::factored:
      if (c.bias) bias_ = param("bias", row, zero);
      length_ = param("g", {c.out_features, 1}, zero);
      direction_ = param("v", matrix, xavier);
      if (detail::draws_values()) {
        const NoGrad no_grad;
        detail::redraw(length_, Init::normal(0.1));  // after the matrix
        copy_(length_, exp(length_ + 1));
        copy_(direction_, direction_ / length_);
      }
      break;
  }
}

Tensor FactoredLinear::matrix() const {
  switch (form_) {
    case WeightForm::plain:
      return direction_;
    case WeightForm::norm:
      return length_ * (direction_ / vector_norm(direction_, 2, 1, keep_axis));
    case WeightForm::factored:
      break;
  }
  return length_ * direction_;
}

Tensor FactoredLinear::operator()(const Tensor& x) const {
  return linear(x, as_dtype(matrix(), x), as_dtype(bias_, x));
}

FCLayer::FCLayer(const Config& c) {
  if (c.slope.defined()) slope_ = param("activation_par", c.slope);
  activation_ = child<NamedActivation>("activation_fn", {.name = c.activation});
  linear_ = child<FactoredLinear>(
      "linear", {.in_features = c.in_features, .out_features = c.out_features, .form = c.form});
}

Tensor FCLayer::operator()(const Tensor& x) const {
  return activation_(with_slope(slope_, linear_(x)));
}

Tensor with_slope(const Tensor& slope, Tensor y) {
  return slope.defined() ? as_dtype(slope, y) * y : y;
}

}  // namespace brume::nn
