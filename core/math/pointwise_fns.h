#pragma once
// Every pointwise function, its formula once. V is a vector of lanes (Vec) or a dual number over
// one; a number in a formula is a double. Members are constants, which travel by value and get no
// gradient. A functor may say
//   df               its first derivatives, where that is faster or steadier than dual numbers, or
//                    where a kink wants a value of its own
//   domain           where tests may draw its operands, if not [-3, 3]
//   kTakesIntegers   that it gives integers from integers
//   kUnitPartials    which of its derivatives are exactly 1: that gradient is passed on untouched
//   kNeeds           by operand: which operands the derivative along it depends on (all of them, if
//                    it does not say); the others need not be kept for it

#include <brume/core/math/dual.h>

namespace brume::math::inline BRUME_ISA {

struct Interval {
  double low, high;
};

/// Sets of operands, one per derivative; bit k is operand k.
struct Needs {
  unsigned char of[4];
};

/// The derivatives of a function along its operands.
template <class V, int N>
struct Partials {
  V d[N];
};
template <class V, class... More>
Partials(V, More...) -> Partials<V, 1 + static_cast<int>(sizeof...(More))>;

// What a functor says of itself, or the default.
template <class F>
inline constexpr bool takes_integers = false;
template <class F>
requires requires { F::kTakesIntegers; }
inline constexpr bool takes_integers<F> = F::kTakesIntegers;
template <class F>
inline constexpr unsigned unit_partials = 0;
template <class F>
requires requires { F::kUnitPartials; }
inline constexpr unsigned unit_partials<F> = F::kUnitPartials;
template <class F>
inline constexpr Needs needs{{0b1111, 0b1111, 0b1111, 0b1111}};
template <class F>
requires requires { F::kNeeds; }
inline constexpr Needs needs<F> = F::kNeeds;
template <class F>
inline constexpr Interval domain{-3, 3};
template <class F>
requires requires { F::domain; }
inline constexpr Interval domain<F> = F::domain;

// Arithmetic.

struct Add {
  static constexpr const char* name = "add";
  static constexpr bool kTakesIntegers = true;
  static constexpr unsigned kUnitPartials = 0b11;
  static constexpr Needs kNeeds{{0, 0}};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return x + y;
  }
  template <class V>
  BRUME_HD auto df(V, V) const {
    return Partials{V(1), V(1)};
  }
};
struct Sub {
  static constexpr const char* name = "sub";
  static constexpr bool kTakesIntegers = true;
  static constexpr unsigned kUnitPartials = 0b01;
  static constexpr Needs kNeeds{{0, 0}};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return x - y;
  }
  template <class V>
  BRUME_HD auto df(V, V) const {
    return Partials{V(1), V(-1)};
  }
};
struct Mul {
  static constexpr const char* name = "mul";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0b10, 0b01}};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return x * y;
  }
  template <class V>
  BRUME_HD auto df(V x, V y) const {
    return Partials{y, x};
  }
};
struct Div {
  static constexpr const char* name = "div";
  static constexpr Interval domain{0.3, 3};
  static constexpr Needs kNeeds{{0b10, 0b11}};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return x / y;
  }
  template <class V>
  BRUME_HD auto df(V x, V y) const {
    const V r = 1 / y;
    return Partials{r, -(x * r) * r};
  }
};
struct Neg {
  static constexpr const char* name = "neg";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0}};
  template <class V>
  BRUME_HD V operator()(V x) const {
    return -x;
  }
};
/// Powers of a negative base have no derivative along the exponent.
struct Pow {
  static constexpr const char* name = "pow";
  static constexpr Interval domain{0.3, 3};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return pow(x, y);
  }
  template <class V>
  BRUME_HD auto df(V x, V y) const {
    const V zero(0);
    return Partials{select(y == 0, zero, y * pow(x, y - 1)),
                    select((x == 0) & (y >= 0), zero, pow(x, y) * log(x))};
  }
};
struct PowScalar {
  static constexpr const char* name = "pow";
  static constexpr Interval domain{0.3, 3};
  double exponent;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return power(x, exponent);
  }

 private:
  template <class T, int N>
  static BRUME_HD Vec<T, N> power(Vec<T, N> x, double p) {
    return pow(x, Vec<T, N>(p));
  }
  template <class V, int N>
  static BRUME_HD Dual<V, N> power(Dual<V, N> x, double p) {
    return Dual<V, N>::chain(x, power(x.v, p), p == 0 ? V(0) : p * power(x.v, p - 1));
  }
};
struct Fmod {
  static constexpr const char* name = "fmod";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0, 0b11}};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return fmod(x, y);
  }
};
struct Remainder {
  static constexpr const char* name = "remainder";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0, 0b11}};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    const V r = fmod(x, y);
    return select((r != 0) & ((r < 0) ^ (y < 0)), r + y, r);
  }
};
struct FloorDivide {
  static constexpr const char* name = "floor_divide";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0, 0}};
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    const V r = fmod(x, y),
            whole = round((x - r) / y);  // consistent with Remainder to the last bit
    const V down = select((r != 0) & ((r < 0) ^ (y < 0)), whole - 1, whole);
    return select(y == 0, x / y, down);
  }
};
struct Maximum {
  static constexpr const char* name = "maximum";
  static constexpr bool kTakesIntegers = true;
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return select((x > y) | (x != x), x, y);
  }
  template <class V>
  BRUME_HD auto df(V x, V y) const {
    const V share = select(x > y, V(1), select(x == y, V(0.5), V(0)));
    return Partials{share, 1 - share};
  }
};
struct Minimum {
  static constexpr const char* name = "minimum";
  static constexpr bool kTakesIntegers = true;
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return select((x < y) | (x != x), x, y);
  }
  template <class V>
  BRUME_HD auto df(V x, V y) const {
    const V share = select(x < y, V(1), select(x == y, V(0.5), V(0)));
    return Partials{share, 1 - share};
  }
};
struct Clamp {
  static constexpr const char* name = "clamp";
  static constexpr bool kTakesIntegers = true;
  double low, high;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x <= low, V(low), select(x >= high, V(high), x));
  }
};
struct Atan2 {
  static constexpr const char* name = "atan2";
  static constexpr Interval domain{0.3, 3};
  template <class V>
  BRUME_HD V operator()(V y, V x) const {
    return atan2(y, x);
  }
};
struct Lerp {
  static constexpr const char* name = "lerp";
  static constexpr Needs kNeeds{{0b100, 0b100, 0b011}};
  template <class V>
  BRUME_HD V operator()(V x, V y, V w) const {
    return select(w < 0.5, x + w * (y - x), y - (1 - w) * (y - x));  // exact at both ends
  }
  template <class V>
  BRUME_HD auto df(V x, V y, V w) const {
    return Partials{1 - w, w, y - x};
  }
};

/// A binary function with a number on its right.
template <class F>
struct WithScalar {
  static constexpr const char* name = F::name;
  static constexpr bool kTakesIntegers = takes_integers<F>;
  static constexpr unsigned kUnitPartials = unit_partials<F> & 1U;
  static constexpr Needs kNeeds{{static_cast<unsigned char>(needs<F>.of[0] & 1)}};
  double c;
  template <class V>
  BRUME_HD auto operator()(V x) const {
    return F{}(x, V(c));
  }
  template <class V>
  requires requires(V x) { F{}.df(x, x); }
  BRUME_HD auto df(V x) const { return Partials{F{}.df(x, V(c)).d[0]}; }
};
/// A binary function with a number on its left.
template <class F>
struct ScalarWith {
  static constexpr const char* name = F::name;
  static constexpr bool kTakesIntegers = takes_integers<F>;
  static constexpr unsigned kUnitPartials = unit_partials<F> >> 1U;
  static constexpr Needs kNeeds{{static_cast<unsigned char>(needs<F>.of[1] >> 1)}};
  static constexpr Interval domain{0.3, 3};
  double c;
  template <class V>
  BRUME_HD auto operator()(V x) const {
    return F{}(V(c), x);
  }
  template <class V>
  requires requires(V x) { F{}.df(x, x); }
  BRUME_HD auto df(V x) const { return Partials{F{}.df(V(c), x).d[1]}; }
};

// Comparisons, logic, choice.

#define BRUME_PREDICATE(Name, text, parameters, expression) \
  struct Name {                                             \
    static constexpr const char* name = text;               \
    template <class V>                                      \
    BRUME_HD auto operator() parameters const {             \
      return expression;                                    \
    }                                                       \
  };
BRUME_PREDICATE(Equal, "eq", (V x, V y), x == y)
BRUME_PREDICATE(NotEqual, "ne", (V x, V y), x != y)
BRUME_PREDICATE(Less, "lt", (V x, V y), x < y)
BRUME_PREDICATE(LessEqual, "le", (V x, V y), x <= y)
BRUME_PREDICATE(Greater, "gt", (V x, V y), x > y)
BRUME_PREDICATE(GreaterEqual, "ge", (V x, V y), x >= y)
BRUME_PREDICATE(LogicalAnd, "logical_and", (V x, V y), (x != 0) & (y != 0))
BRUME_PREDICATE(LogicalOr, "logical_or", (V x, V y), (x != 0) | (y != 0))
BRUME_PREDICATE(LogicalNot, "logical_not", (V x), x == 0)
BRUME_PREDICATE(IsNan, "isnan", (V x), x != x)
BRUME_PREDICATE(IsInf, "isinf", (V x), abs(x) == __builtin_inf())
BRUME_PREDICATE(IsFinite, "isfinite", (V x), abs(x) < __builtin_inf())
#undef BRUME_PREDICATE
struct Where {
  static constexpr const char* name = "where";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0, 0b001, 0b001}};
  template <class V>
  BRUME_HD V operator()(V mask, V x, V y) const {
    return select(mask != 0, x, y);
  }
  template <class V>
  BRUME_HD auto df(V mask, V, V) const {
    const V zero(0), one(1);
    return Partials{zero, select(mask != 0, one, zero), select(mask != 0, zero, one)};
  }
};
struct WhereElseScalar {
  static constexpr const char* name = "where";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0, 0b01}};
  double c;
  template <class V>
  BRUME_HD V operator()(V mask, V x) const {
    return select(mask != 0, x, V(c));
  }
};
struct WhereScalarElse {
  static constexpr const char* name = "where";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0, 0b01}};
  double c;
  template <class V>
  BRUME_HD V operator()(V mask, V y) const {
    return select(mask != 0, V(c), y);
  }
};
struct NanToNum {
  static constexpr const char* name = "nan_to_num";
  double nan, positive_infinity, negative_infinity;
  template <class V>
  BRUME_HD V operator()(V x) const {
    const double inf = __builtin_inf();
    const V finite =
        select(x == inf, V(positive_infinity), select(x == -inf, V(negative_infinity), x));
    return select(x != x, V(nan), finite);
  }
};

// Elementary functions.

struct Abs {
  static constexpr const char* name = "abs";
  static constexpr bool kTakesIntegers = true;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return abs(x);
  }
};
struct Sign {
  static constexpr const char* name = "sign";
  static constexpr bool kTakesIntegers = true;
  static constexpr Needs kNeeds{{0}};
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x > 0, V(1), select(x < 0, V(-1), V(0)));
  }
};
struct Square {
  static constexpr const char* name = "square";
  static constexpr bool kTakesIntegers = true;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return x * x;
  }
};
struct Reciprocal {
  static constexpr const char* name = "reciprocal";
  static constexpr Interval domain{0.3, 3};
  template <class V>
  BRUME_HD V operator()(V x) const {
    return 1 / x;
  }
};
struct Rsqrt {
  static constexpr const char* name = "rsqrt";
  static constexpr Interval domain{0.3, 3};
  template <class V>
  BRUME_HD V operator()(V x) const {
    return 1 / sqrt(x);
  }
  template <class V>
  BRUME_HD auto df(V x) const {
    const V y = 1 / sqrt(x);
    return Partials{-0.5 * y / x};
  }
};

// Those that special.h has, and that are only named here.
#define BRUME_ELEMENTARY(Name, function, low, high) \
  struct Name {                                     \
    static constexpr const char* name = #function;  \
    static constexpr Interval domain{low, high};    \
    template <class V>                              \
    BRUME_HD V operator()(V x) const {              \
      return function(x);                           \
    }                                               \
  };
BRUME_ELEMENTARY(Sqrt, sqrt, 0.3, 3)
BRUME_ELEMENTARY(Exp, exp, -3, 3)
BRUME_ELEMENTARY(Expm1, expm1, -3, 3)
BRUME_ELEMENTARY(Log, log, 0.3, 3)
BRUME_ELEMENTARY(Log1p, log1p, -0.7, 3)
BRUME_ELEMENTARY(Log2, log2, 0.3, 3)
BRUME_ELEMENTARY(Log10, log10, 0.3, 3)
BRUME_ELEMENTARY(Sin, sin, -3, 3)
BRUME_ELEMENTARY(Cos, cos, -3, 3)
BRUME_ELEMENTARY(Tan, tan, -1.2, 1.2)
BRUME_ELEMENTARY(Asin, asin, -0.9, 0.9)
BRUME_ELEMENTARY(Acos, acos, -0.9, 0.9)
BRUME_ELEMENTARY(Atan, atan, -3, 3)
BRUME_ELEMENTARY(Sinh, sinh, -3, 3)
BRUME_ELEMENTARY(Cosh, cosh, -3, 3)
BRUME_ELEMENTARY(Tanh, tanh, -3, 3)
BRUME_ELEMENTARY(Asinh, asinh, -3, 3)
BRUME_ELEMENTARY(Acosh, acosh, 1.3, 4)
BRUME_ELEMENTARY(Atanh, atanh, -0.9, 0.9)
BRUME_ELEMENTARY(Erf, erf, -3, 3)
BRUME_ELEMENTARY(Erfinv, erfinv, -0.9, 0.9)
BRUME_ELEMENTARY(Sigmoid, sigmoid, -3, 3)
#undef BRUME_ELEMENTARY

struct Lgamma {
  static constexpr const char* name = "lgamma";
  static constexpr Interval domain{0.3, 3};
  template <class V>
  BRUME_HD V operator()(V x) const {
    return lgamma(x);
  }
  template <class V>
  BRUME_HD auto df(V x) const {
    return Partials{polygamma<0>(x)};
  }
};
struct Digamma {
  static constexpr const char* name = "digamma";
  static constexpr Interval domain{0.3, 3};
  template <class V>
  BRUME_HD V operator()(V x) const {
    return polygamma<0>(x);
  }
};

// Steps.
#define BRUME_STEP(Name, function)                 \
  struct Name {                                    \
    static constexpr const char* name = #function; \
    static constexpr bool kTakesIntegers = true;   \
    static constexpr Needs kNeeds{{0}};            \
    template <class V>                             \
    BRUME_HD V operator()(V x) const {             \
      return function(x);                          \
    }                                              \
  };
BRUME_STEP(Floor, floor)
BRUME_STEP(Ceil, ceil)
BRUME_STEP(Round, round)
BRUME_STEP(Trunc, trunc)
#undef BRUME_STEP

}  // namespace brume::math::inline BRUME_ISA
