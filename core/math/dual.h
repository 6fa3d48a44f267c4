#pragma once
// Dual<V, N>: a value with its derivatives along N directions. A formula that is evaluated on duals
// gives its derivatives beside its value; duals of duals give the second ones.

#include <brume/core/math/rare.h>

namespace brume::math::inline BRUME_ISA {

template <class V, int N>
struct Dual {
  V v;
  V d[N];

  Dual() = default;
  /// A constant.
  BRUME_HD explicit Dual(V value) : v(value) {
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) d[i] = V(0);
  }
  BRUME_HD explicit Dual(double value) : Dual(V(value)) {}
  /// A function of x whose value is `value` and whose derivative is `slope`.
  static BRUME_HD Dual chain(Dual x, V value, V slope) {
    Dual y;
    y.v = value;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = slope * x.d[i];
    return y;
  }

  friend BRUME_HD Dual operator-(Dual a) {
    Dual y;
    y.v = -a.v;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = -a.d[i];
    return y;
  }
  friend BRUME_HD Dual operator+(Dual a, Dual b) {
    Dual y;
    y.v = a.v + b.v;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = a.d[i] + b.d[i];
    return y;
  }
  friend BRUME_HD Dual operator-(Dual a, Dual b) {
    Dual y;
    y.v = a.v - b.v;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = a.d[i] - b.d[i];
    return y;
  }
  friend BRUME_HD Dual operator*(Dual a, Dual b) {
    Dual y;
    y.v = a.v * b.v;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = a.v * b.d[i] + b.v * a.d[i];
    return y;
  }
  friend BRUME_HD Dual operator/(Dual a, Dual b) {
    Dual y;
    const V r = 1 / b.v;
    y.v = a.v / b.v;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = (a.d[i] - y.v * b.d[i]) * r;
    return y;
  }
  friend BRUME_HD Dual operator+(Dual a, double b) {
    a.v = a.v + b;
    return a;
  }
  friend BRUME_HD Dual operator+(double a, Dual b) { return b + a; }
  friend BRUME_HD Dual operator-(Dual a, double b) { return a + -b; }
  friend BRUME_HD Dual operator-(double a, Dual b) { return -b + a; }
  friend BRUME_HD Dual operator*(Dual a, double b) { return chain(a, a.v * b, V(b)); }
  friend BRUME_HD Dual operator*(double a, Dual b) { return b * a; }
  friend BRUME_HD Dual operator/(Dual a, double b) {
    Dual y;
    y.v = a.v / b;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = a.d[i] / b;
    return y;
  }
  friend BRUME_HD Dual operator/(double a, Dual b) {
    const V r = 1 / b.v, y = a / b.v;
    return chain(b, y, -y * r);
  }

  // Comparisons look at the values.
  friend BRUME_HD auto operator<(Dual a, Dual b) { return a.v < b.v; }
  friend BRUME_HD auto operator<=(Dual a, Dual b) { return a.v <= b.v; }
  friend BRUME_HD auto operator>(Dual a, Dual b) { return a.v > b.v; }
  friend BRUME_HD auto operator>=(Dual a, Dual b) { return a.v >= b.v; }
  friend BRUME_HD auto operator==(Dual a, Dual b) { return a.v == b.v; }
  friend BRUME_HD auto operator!=(Dual a, Dual b) { return a.v != b.v; }
  friend BRUME_HD auto operator<(Dual a, double b) { return a.v < b; }
  friend BRUME_HD auto operator<=(Dual a, double b) { return a.v <= b; }
  friend BRUME_HD auto operator>(Dual a, double b) { return a.v > b; }
  friend BRUME_HD auto operator>=(Dual a, double b) { return a.v >= b; }
  friend BRUME_HD auto operator==(Dual a, double b) { return a.v == b; }
  friend BRUME_HD auto operator!=(Dual a, double b) { return a.v != b; }

  template <class M>
  friend BRUME_HD Dual select(M m, Dual a, Dual b) {
    Dual y;
    y.v = select(m, a.v, b.v);
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) y.d[i] = select(m, a.d[i], b.d[i]);
    return y;
  }
  friend BRUME_HD Dual min(Dual a, Dual b) { return select(a < b, a, b); }
  friend BRUME_HD Dual max(Dual a, Dual b) { return select(a > b, a, b); }
  friend BRUME_HD Dual fma(Dual a, Dual b, Dual c) { return a * b + c; }

  friend BRUME_HD Dual sqrt(Dual x) {
    const V y = sqrt(x.v);
    return chain(x, y, 0.5 / y);
  }
  friend BRUME_HD Dual abs(Dual x) {
    const V one(1), zero(0);
    return chain(x, abs(x.v), select(x.v > 0, one, select(x.v < 0, -one, zero)));
  }
  friend BRUME_HD Dual exp(Dual x) {
    const V y = exp(x.v);
    return chain(x, y, y);
  }
  friend BRUME_HD Dual expm1(Dual x) {
    const V y = expm1(x.v);
    return chain(x, y, y + 1);
  }
  friend BRUME_HD Dual log(Dual x) { return chain(x, log(x.v), 1 / x.v); }
  friend BRUME_HD Dual log1p(Dual x) { return chain(x, log1p(x.v), 1 / (x.v + 1)); }
  friend BRUME_HD Dual log2(Dual x) { return chain(x, log2(x.v), 1.4426950408889634 / x.v); }
  friend BRUME_HD Dual log10(Dual x) { return chain(x, log10(x.v), 0.43429448190325183 / x.v); }
  friend BRUME_HD Dual tanh(Dual x) {
    const V y = tanh(x.v);
    return chain(x, y, 1 - y * y);
  }
  friend BRUME_HD Dual sigmoid(Dual x) {
    const V y = sigmoid(x.v);
    return chain(x, y, y * (1 - y));
  }
  friend BRUME_HD Dual softplus(Dual x) { return chain(x, softplus(x.v), sigmoid(x.v)); }
  friend BRUME_HD Dual sinh(Dual x) { return chain(x, sinh(x.v), cosh(x.v)); }
  friend BRUME_HD Dual cosh(Dual x) { return chain(x, cosh(x.v), sinh(x.v)); }
  friend BRUME_HD Dual asinh(Dual x) { return chain(x, asinh(x.v), 1 / sqrt(x.v * x.v + 1)); }
  friend BRUME_HD Dual acosh(Dual x) {
    return chain(x, acosh(x.v), 1 / sqrt((x.v - 1) * (x.v + 1)));
  }
  friend BRUME_HD Dual atanh(Dual x) { return chain(x, atanh(x.v), 1 / ((1 - x.v) * (1 + x.v))); }
  friend BRUME_HD Dual sin(Dual x) { return chain(x, sin(x.v), cos(x.v)); }
  friend BRUME_HD Dual cos(Dual x) { return chain(x, cos(x.v), -sin(x.v)); }
  friend BRUME_HD Dual tan(Dual x) {
    const V y = tan(x.v);
    return chain(x, y, y * y + 1);
  }
  friend BRUME_HD Dual asin(Dual x) { return chain(x, asin(x.v), 1 / sqrt((1 - x.v) * (1 + x.v))); }
  friend BRUME_HD Dual acos(Dual x) {
    return chain(x, acos(x.v), -1 / sqrt((1 - x.v) * (1 + x.v)));
  }
  friend BRUME_HD Dual atan(Dual x) { return chain(x, atan(x.v), 1 / (x.v * x.v + 1)); }
  friend BRUME_HD Dual atan2(Dual y, Dual x) {
    const V r = 1 / (x.v * x.v + y.v * y.v);
    Dual z;
    z.v = atan2(y.v, x.v);
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) z.d[i] = (x.v * y.d[i] - y.v * x.d[i]) * r;
    return z;
  }
  friend BRUME_HD Dual erf(Dual x) {
    return chain(x, erf(x.v), 1.1283791670955126 * exp(-x.v * x.v));
  }
  friend BRUME_HD Dual erfinv(Dual x) {
    const V y = erfinv(x.v);
    return chain(x, y, 0.8862269254527580 * exp(y * y));
  }
  friend BRUME_HD Dual lgamma(Dual x) { return chain(x, lgamma(x.v), polygamma<0>(x.v)); }
  friend BRUME_HD Dual pow(Dual x, Dual y) {
    const V z = pow(x.v, y.v);
    const V along_x = y.v * pow(x.v, y.v - 1), along_y = z * log(x.v);
    Dual result;
    result.v = z;
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) result.d[i] = along_x * x.d[i] + along_y * y.d[i];
    return result;
  }

  friend BRUME_HD Dual fmod(Dual x, Dual y) {
    const V whole = trunc(x.v / y.v);
    Dual z;
    z.v = fmod(x.v, y.v);
    BRUME_UNROLL
    for (int i = 0; i < N; ++i) z.d[i] = x.d[i] - whole * y.d[i];
    return z;
  }

  // Steps: the derivative is zero wherever there is one.
  friend BRUME_HD Dual trunc(Dual x) { return Dual(trunc(x.v)); }
  friend BRUME_HD Dual floor(Dual x) { return Dual(floor(x.v)); }
  friend BRUME_HD Dual ceil(Dual x) { return Dual(ceil(x.v)); }
  friend BRUME_HD Dual round(Dual x) { return Dual(round(x.v)); }
};

template <int kOrder, class V, int N>
BRUME_HD Dual<V, N> polygamma(Dual<V, N> x) {
  return Dual<V, N>::chain(x, polygamma<kOrder>(x.v), polygamma<kOrder + 1>(x.v));
}

}  // namespace brume::math::inline BRUME_ISA
