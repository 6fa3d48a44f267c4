// Functions of one tensor, element by element, with their constants.

#include <cmath>
#include <limits>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

using Unary = Tensor (*)(Tensor);

// Functions with real values: integers become floats first.
template <Unary f>
Value real_valued(Arguments& a) {
  a.ignore("inplace");
  return f(floating(a.tensor("input")));
}
// Functions that take any dtype as it is.
template <Unary f>
Value same_dtype(Arguments& a) {
  a.ignore("inplace");
  return f(a.tensor("input"));
}

Value negative(Arguments& a) {
  const Array& x = a.array("input");
  return Array{-x.tensor, x.complex};
}

Value size(Arguments& a) {
  const Array& x = a.array("input");
  if (!x.complex) return abs(x.tensor);
  return sqrt(square(real(x)) + square(imaginary(x)));
}

Value rounded(Arguments& a) {
  const Tensor x = a.tensor("input");
  const int64_t decimals = a.integer("decimals", 0);
  if (decimals == 0) return round(x);
  const double scale = std::pow(10.0, static_cast<double>(decimals));
  return round(x * scale) / scale;
}

// Limits are numbers or tensors, and either may be missing.
Value clamped(Arguments& a) {
  Tensor x = a.tensor("input");
  const bool low = a.has("min"), high = a.has("max");
  check<Error>(low || high, "torch.clamp: wanted min or max");
  if (!a.is_tensor("min") && !a.is_tensor("max")) {
    if (low && high && a.number("min") > a.number("max"))  // the upper limit wins
      return clamp_max(clamp_min(x, a.number("min")), a.number("max"));
    if (low && high) return clamp(x, a.number("min"), a.number("max"));
    return low ? clamp_min(x, a.number("min")) : clamp_max(x, a.number("max"));
  }
  if (low) x = maximum(x, a.tensor("min"));
  if (high) x = minimum(x, a.tensor("max"));
  return x;
}

Value without_nan(Arguments& a) {
  const Tensor x = a.tensor("input");
  const double nan = a.number("nan", 0);
  if (!a.has("posinf") && !a.has("neginf")) return nan_to_num(x, nan);
  const double top = x.dtype() == DType::f64 ? std::numeric_limits<double>::max()
                                             : std::numeric_limits<float>::max();
  return nan_to_num(x, nan, a.number("posinf", top), a.number("neginf", -top));
}

Value gelu_of(Arguments& a) {
  const std::string how = a.text("approximate", "none");
  check<Error>(how == "none" || how == "tanh", "gelu: approximate '", how, "' is not served");
  return how == "none" ? gelu(a.tensor("input")) : gelu_tanh(a.tensor("input"));
}

Value gated(Arguments& a) {
  const int64_t axis = a.integer("dim", -1);
  const std::vector<Tensor> halves = chunk(a.tensor("input"), 2, axis);
  return glu(halves.at(0), halves.at(1));
}

void add_elementary(Functions& t) {
  t["torch.neg"] = negative;
  t["torch.abs"] = size;
  t["torch.sign"] = same_dtype<sign>;
  t["torch.square"] = same_dtype<square>;
  t["torch.floor"] = same_dtype<floor>;
  t["torch.ceil"] = same_dtype<ceil>;
  t["torch.trunc"] = same_dtype<trunc>;
  t["torch.round"] = rounded;
  t["torch.clamp"] = clamped;
  t["torch.nan_to_num"] = without_nan;
  t["torch.isnan"] = same_dtype<isnan>;
  t["torch.isinf"] = same_dtype<isinf>;
  t["torch.isfinite"] = same_dtype<isfinite>;

  t["torch.reciprocal"] = real_valued<reciprocal>;
  t["torch.sqrt"] = real_valued<sqrt>;
  t["torch.rsqrt"] = real_valued<rsqrt>;
  t["torch.exp"] = real_valued<exp>;
  t["torch.expm1"] = real_valued<expm1>;
  t["torch.log"] = real_valued<log>;
  t["torch.log1p"] = real_valued<log1p>;
  t["torch.log2"] = real_valued<log2>;
  t["torch.log10"] = real_valued<log10>;
  t["torch.sin"] = real_valued<sin>;
  t["torch.cos"] = real_valued<cos>;
  t["torch.tan"] = real_valued<tan>;
  t["torch.asin"] = real_valued<asin>;
  t["torch.acos"] = real_valued<acos>;
  t["torch.atan"] = real_valued<atan>;
  t["torch.sinh"] = real_valued<sinh>;
  t["torch.cosh"] = real_valued<cosh>;
  t["torch.tanh"] = real_valued<tanh>;
  t["torch.asinh"] = real_valued<asinh>;
  t["torch.acosh"] = real_valued<acosh>;
  t["torch.atanh"] = real_valued<atanh>;
  t["torch.erf"] = real_valued<erf>;
  t["torch.erfinv"] = real_valued<erfinv>;
  t["torch.lgamma"] = real_valued<lgamma>;
  t["torch.digamma"] = real_valued<digamma>;
  t["torch.sigmoid"] = real_valued<sigmoid>;
}

void add_activations(Functions& t) {
  t["torch.nn.functional.relu"] = same_dtype<relu>;
  t["torch.nn.functional.relu6"] = same_dtype<relu6>;
  t["torch.nn.functional.silu"] = same_dtype<silu>;
  t["torch.nn.functional.mish"] = same_dtype<mish>;
  t["torch.nn.functional.selu"] = same_dtype<selu>;
  t["torch.nn.functional.logsigmoid"] = same_dtype<logsigmoid>;
  t["torch.nn.functional.softsign"] = same_dtype<softsign>;
  t["torch.nn.functional.tanhshrink"] = same_dtype<tanhshrink>;
  t["torch.nn.functional.hardswish"] = same_dtype<hardswish>;
  t["torch.nn.functional.hardsigmoid"] = same_dtype<hardsigmoid>;
  t["torch.nn.functional.sigmoid"] = real_valued<sigmoid>;
  t["torch.nn.functional.tanh"] = real_valued<tanh>;
  t["torch.nn.functional.gelu"] = gelu_of;
  t["torch.nn.functional.glu"] = gated;
  t["torch.nn.functional.elu"] = [](Arguments& a) -> Value {
    a.ignore("inplace");
    return elu(a.tensor("input"), a.number("alpha", 1));
  };
  t["torch.nn.functional.celu"] = [](Arguments& a) -> Value {
    a.ignore("inplace");
    return celu(a.tensor("input"), a.number("alpha", 1));
  };
  t["torch.nn.functional.leaky_relu"] = [](Arguments& a) -> Value {
    a.ignore("inplace");
    return leaky_relu(a.tensor("input"), a.number("negative_slope", 0.01));
  };
  t["torch.nn.functional.softplus"] = [](Arguments& a) -> Value {
    return softplus(a.tensor("input"), a.number("beta", 1), a.number("threshold", 20));
  };
  t["torch.nn.functional.softshrink"] = [](Arguments& a) -> Value {
    return softshrink(a.tensor("input"), a.number("lambd", 0.5));
  };
  t["torch.nn.functional.hardshrink"] = [](Arguments& a) -> Value {
    return hardshrink(a.tensor("input"), a.number("lambd", 0.5));
  };
  t["torch.nn.functional.hardtanh"] = [](Arguments& a) -> Value {
    a.ignore("inplace");
    return hardtanh(a.tensor("input"), a.number("min_val", -1), a.number("max_val", 1));
  };
  t["torch.nn.functional.threshold"] = [](Arguments& a) -> Value {
    a.ignore("inplace");
    return threshold(a.tensor("input"), a.number("threshold"), a.number("value"));
  };
  t["torch.nn.functional.prelu"] = [](Arguments& a) -> Value {
    return prelu(a.tensor("input"), a.tensor("weight"));
  };
}

}  // namespace

void add_elementwise(Functions& table) {
  add_elementary(table);
  add_activations(table);
}

}  // namespace brume::conformance
