#include <brume/autograd/ops/pointwise.h>

#include <cmath>
#include <limits>

#include <brume/autograd/ops/pointwise_call.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/integers.h>

namespace brume {
namespace {

// A number beside integers must be one of theirs, unless it is only compared with.
void check_number(const Tensor& x, double c, const char* who) {
  const DType dtype = x.dtype();
  check<DTypeError>(is_floating(dtype) || (c == std::trunc(c) && holds(dtype, c)), who,
                    ": a tensor of ", dtype, " and the number ", c, "; convert the tensor first");
}

template <class F>
Tensor with_scalar(Tensor x, double c) {
  check_number(x, c, F::name);
  return pointwise(math::WithScalar<F>{c}, std::move(x));
}
template <class F>
Tensor scalar_with(double c, Tensor x) {
  check_number(x, c, F::name);
  return pointwise(math::ScalarWith<F>{c}, std::move(x));
}
template <class F>
Tensor divided(Tensor x, double c) {
  check<Error>(c != 0 || is_floating(x.dtype()), F::name, ": integers cannot be divided by 0");
  return with_scalar<F>(std::move(x), c);
}
template <class F>
Tensor compare(Tensor x, double c) {
  return pointwise(math::WithScalar<F>{c}, std::move(x));
}

}  // namespace

#define BRUME_UNARY(name, Fn) \
  Tensor name(Tensor x) { return pointwise(math::Fn{}, std::move(x)); }
#define BRUME_BINARY(name, Fn) \
  Tensor name(Tensor x, Tensor y) { return pointwise(math::Fn{}, std::move(x), std::move(y)); }

BRUME_BINARY(operator+, Add)
BRUME_BINARY(operator-, Sub)
BRUME_BINARY(operator*, Mul)
BRUME_BINARY(operator/, Div)
Tensor operator+(Tensor x, double c) { return with_scalar<math::Add>(std::move(x), c); }
Tensor operator-(Tensor x, double c) { return with_scalar<math::Add>(std::move(x), -c); }
Tensor operator*(Tensor x, double c) { return with_scalar<math::Mul>(std::move(x), c); }
Tensor operator/(Tensor x, double c) { return with_scalar<math::Div>(std::move(x), c); }
Tensor operator+(double c, Tensor x) { return with_scalar<math::Add>(std::move(x), c); }
Tensor operator-(double c, Tensor x) { return scalar_with<math::Sub>(c, std::move(x)); }
Tensor operator*(double c, Tensor x) { return with_scalar<math::Mul>(std::move(x), c); }
Tensor operator/(double c, Tensor x) { return scalar_with<math::Div>(c, std::move(x)); }
BRUME_UNARY(operator-, Neg)

BRUME_BINARY(pow, Pow)
Tensor pow(Tensor x, double exponent) {
  if (exponent == 2) return square(std::move(x));
  if (exponent == 1) return x;
  if (exponent == 0.5) return sqrt(std::move(x));
  if (exponent == -0.5) return rsqrt(std::move(x));
  if (exponent == -1) return reciprocal(std::move(x));
  return pointwise(math::PowScalar{exponent}, std::move(x));
}
BRUME_BINARY(fmod, Fmod)
Tensor fmod(Tensor x, double y) { return divided<math::Fmod>(std::move(x), y); }
BRUME_BINARY(remainder, Remainder)
Tensor remainder(Tensor x, double y) { return divided<math::Remainder>(std::move(x), y); }
BRUME_BINARY(floor_divide, FloorDivide)
Tensor floor_divide(Tensor x, double y) { return divided<math::FloorDivide>(std::move(x), y); }
BRUME_BINARY(maximum, Maximum)
BRUME_BINARY(minimum, Minimum)
Tensor clamp(Tensor x, double low, double high) {
  check(low <= high, "clamp: the limits are ", low, " and ", high);
  return pointwise(math::Clamp{low, high}, std::move(x));
}
Tensor clamp_min(Tensor x, double low) {
  return clamp(std::move(x), low, std::numeric_limits<double>::infinity());
}
Tensor clamp_max(Tensor x, double high) {
  return clamp(std::move(x), -std::numeric_limits<double>::infinity(), high);
}
BRUME_BINARY(atan2, Atan2)
Tensor lerp(Tensor x, Tensor y, Tensor weight) {
  return pointwise(math::Lerp{}, std::move(x), std::move(y), std::move(weight));
}
Tensor lerp(Tensor x, Tensor y, double weight) {
  return pointwise(math::LerpScalar{weight}, std::move(x), std::move(y));
}

BRUME_BINARY(eq, Equal)
BRUME_BINARY(ne, NotEqual)
BRUME_BINARY(lt, Less)
BRUME_BINARY(le, LessEqual)
BRUME_BINARY(gt, Greater)
BRUME_BINARY(ge, GreaterEqual)
Tensor eq(Tensor x, double c) { return compare<math::Equal>(std::move(x), c); }
Tensor ne(Tensor x, double c) { return compare<math::NotEqual>(std::move(x), c); }
Tensor lt(Tensor x, double c) { return compare<math::Less>(std::move(x), c); }
Tensor le(Tensor x, double c) { return compare<math::LessEqual>(std::move(x), c); }
Tensor gt(Tensor x, double c) { return compare<math::Greater>(std::move(x), c); }
Tensor ge(Tensor x, double c) { return compare<math::GreaterEqual>(std::move(x), c); }
BRUME_BINARY(logical_and, LogicalAnd)
BRUME_BINARY(logical_or, LogicalOr)
BRUME_UNARY(logical_not, LogicalNot)
BRUME_UNARY(isnan, IsNan)
BRUME_UNARY(isinf, IsInf)
BRUME_UNARY(isfinite, IsFinite)
Tensor where(Tensor mask, Tensor x, Tensor y) {
  return pointwise(math::Where{}, std::move(mask), std::move(x), std::move(y));
}
Tensor where(Tensor mask, Tensor x, double y) {
  check_number(x, y, "where");
  return pointwise(math::WhereElseScalar{y}, std::move(mask), std::move(x));
}
Tensor where(Tensor mask, double x, Tensor y) {
  check_number(y, x, "where");
  return pointwise(math::WhereScalarElse{x}, std::move(mask), std::move(y));
}
Tensor nan_to_num(Tensor x, double nan) {
  const double largest = x.dtype() == DType::f64    ? std::numeric_limits<double>::max()
                         : x.dtype() == DType::f16  ? 65504
                         : x.dtype() == DType::bf16 ? 0x1.fep127
                                                    : 0x1.fffffep127;
  return nan_to_num(std::move(x), nan, largest, -largest);
}
Tensor nan_to_num(Tensor x, double nan, double positive_infinity, double negative_infinity) {
  return pointwise(math::NanToNum{nan, positive_infinity, negative_infinity}, std::move(x));
}

BRUME_UNARY(abs, Abs)
BRUME_UNARY(sign, Sign)
BRUME_UNARY(square, Square)
BRUME_UNARY(reciprocal, Reciprocal)
BRUME_UNARY(sqrt, Sqrt)
BRUME_UNARY(rsqrt, Rsqrt)
BRUME_UNARY(exp, Exp)
BRUME_UNARY(expm1, Expm1)
BRUME_UNARY(log, Log)
BRUME_UNARY(log1p, Log1p)
BRUME_UNARY(log2, Log2)
BRUME_UNARY(log10, Log10)
BRUME_UNARY(sin, Sin)
BRUME_UNARY(cos, Cos)
BRUME_UNARY(tan, Tan)
BRUME_UNARY(asin, Asin)
BRUME_UNARY(acos, Acos)
BRUME_UNARY(atan, Atan)
BRUME_UNARY(sinh, Sinh)
BRUME_UNARY(cosh, Cosh)
BRUME_UNARY(tanh, Tanh)
BRUME_UNARY(asinh, Asinh)
BRUME_UNARY(acosh, Acosh)
BRUME_UNARY(atanh, Atanh)
BRUME_UNARY(erf, Erf)
BRUME_UNARY(erfinv, Erfinv)
BRUME_UNARY(lgamma, Lgamma)
BRUME_UNARY(digamma, Digamma)
BRUME_UNARY(floor, Floor)
BRUME_UNARY(ceil, Ceil)
BRUME_UNARY(round, Round)
BRUME_UNARY(trunc, Trunc)

BRUME_UNARY(sigmoid, Sigmoid)
BRUME_UNARY(logsigmoid, LogSigmoid)
BRUME_UNARY(relu, Relu)
Tensor relu6(Tensor x) { return clamp(std::move(x), 0, 6); }
BRUME_UNARY(silu, Silu)
BRUME_UNARY(mish, Mish)
BRUME_UNARY(gelu, Gelu)
BRUME_UNARY(gelu_tanh, GeluTanh)
Tensor selu(Tensor x) {
  // The fixed point of mean 0 and variance 1. @source Klambauer et al. 2017, arXiv:1706.02515
  return pointwise(math::Elu{.alpha = 1.6732632423543772, .scale = 1.0507009873554805},
                   std::move(x));
}
Tensor elu(Tensor x, double alpha) { return pointwise(math::Elu{alpha}, std::move(x)); }
Tensor celu(Tensor x, double alpha) { return pointwise(math::Celu{alpha}, std::move(x)); }
Tensor leaky_relu(Tensor x, double negative_slope) {
  return pointwise(math::LeakyRelu{negative_slope}, std::move(x));
}
Tensor softplus(Tensor x, double beta, double threshold) {
  return pointwise(math::Softplus{beta, threshold}, std::move(x));
}
BRUME_UNARY(softsign, Softsign)
BRUME_UNARY(tanhshrink, Tanhshrink)
Tensor softshrink(Tensor x, double lambda) {
  return pointwise(math::Softshrink{lambda}, std::move(x));
}
Tensor hardshrink(Tensor x, double lambda) {
  return pointwise(math::Hardshrink{lambda}, std::move(x));
}
Tensor hardtanh(Tensor x, double low, double high) { return clamp(std::move(x), low, high); }
BRUME_UNARY(hardswish, Hardswish)
BRUME_UNARY(hardsigmoid, Hardsigmoid)
Tensor threshold(Tensor x, double threshold, double value) {
  return pointwise(math::Threshold{threshold, value}, std::move(x));
}
Tensor prelu(Tensor x, Tensor slope) {
  const int64_t channels = x.rank() >= 2 ? x.size(1) : 1;
  check(slope.numel() == 1 || (slope.rank() == 1 && slope.numel() == channels), "prelu: slope ",
        slope.shape(), " fits neither one number nor axis 1 of x ", x.shape());
  Shape along_axis_1 = Shape::filled(x.rank(), 1);
  if (slope.numel() > 1) along_axis_1[1] = channels;
  return pointwise(math::Prelu{}, std::move(x), reshape(slope, along_axis_1));
}
BRUME_BINARY(glu, Glu)

Tensor modulate(Tensor x, Tensor scale, Tensor shift) {
  return pointwise(math::Modulate{}, std::move(x), std::move(scale), std::move(shift));
}
Tensor gated_residual(Tensor x, Tensor gate, Tensor y) {
  return pointwise(math::GatedResidual{}, std::move(x), std::move(gate), std::move(y));
}
Tensor skip_add_scale(Tensor x, Tensor y, double c) {
  return pointwise(math::SkipAddScale{c}, std::move(x), std::move(y));
}
Tensor combine(Tensor a, Tensor x, Tensor b, Tensor y) {
  return pointwise(math::Combine{}, std::move(a), std::move(x), std::move(b), std::move(y));
}
Tensor add_scaled(Tensor x, Tensor y, double c) {
  return pointwise(math::AddScaled{c}, std::move(x), std::move(y));
}
Tensor addcmul(Tensor x, Tensor a, Tensor b, double c) {
  return pointwise(math::Addcmul{c}, std::move(x), std::move(a), std::move(b));
}
Tensor addcdiv(Tensor x, Tensor a, Tensor b, double c) {
  return pointwise(math::Addcdiv{c}, std::move(x), std::move(a), std::move(b));
}
Tensor weighted_square_error(Tensor weight, Tensor x, Tensor y) {
  return pointwise(math::WeightedSquareError{}, std::move(weight), std::move(x), std::move(y));
}

}  // namespace brume
