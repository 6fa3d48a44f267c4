#pragma once
// The list of all pointwise functions: kernels, CUDA and tests iterate over it. A function's place
// in it is how a backend finds its own code.

#include <brume/core/math/activation_fns.h>

namespace brume::math::inline BRUME_ISA {

template <class... F>
struct FnList {
  static constexpr int kSize = sizeof...(F);
  /// Where Fn stands; -1 if it does not.
  template <class Fn>
  static constexpr int index = [] {
    int at = 0, found = -1;
    ((found = __is_same(F, Fn) ? at : found, ++at), ...);
    return found;
  }();
};

using AllPointwiseFns =
    FnList<Add, Sub, Mul, Div, WithScalar<Add>, WithScalar<Mul>, WithScalar<Div>, ScalarWith<Sub>,
           ScalarWith<Div>, Neg, Pow, PowScalar, Fmod, WithScalar<Fmod>, Remainder,
           WithScalar<Remainder>, FloorDivide, WithScalar<FloorDivide>, Maximum, Minimum, Clamp,
           Atan2, Lerp, LerpScalar, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual,
           WithScalar<Equal>, WithScalar<NotEqual>, WithScalar<Less>, WithScalar<LessEqual>,
           WithScalar<Greater>, WithScalar<GreaterEqual>, LogicalAnd, LogicalOr, LogicalNot, IsNan,
           IsInf, IsFinite, Where, WhereElseScalar, WhereScalarElse, NanToNum, Abs, Sign, Square,
           Reciprocal, Sqrt, Rsqrt, Exp, Expm1, Log, Log1p, Log2, Log10, Sin, Cos, Tan, Asin, Acos,
           Atan, Sinh, Cosh, Tanh, Asinh, Acosh, Atanh, Erf, Erfinv, Lgamma, Digamma, Floor, Ceil,
           Round, Trunc, Sigmoid, LogSigmoid, Relu, Silu, Mish, Gelu, GeluTanh, Elu, Celu,
           LeakyRelu, Softplus, Softsign, Tanhshrink, Softshrink, Hardshrink, Hardswish,
           Hardsigmoid, Threshold, Prelu, Glu, Modulate, GatedResidual, SkipAddScale, Combine,
           AddScaled, Addcmul, Addcdiv, WeightedSquareError>;

/// How many operands F takes, if V stands for a number.
template <class F, class V>
constexpr int arity_of() {
  if constexpr (requires(const F f, V x) { f(x); })
    return 1;
  else if constexpr (requires(const F f, V x) { f(x, x); })
    return 2;
  else if constexpr (requires(const F f, V x) { f(x, x, x); })
    return 3;
  else
    return 4;
}

}  // namespace brume::math::inline BRUME_ISA
