#pragma once
// Activations and the chains that models need in one pass. Conventions as in pointwise_fns.h.

#include <brume/core/math/pointwise_fns.h>

namespace brume::math::inline BRUME_ISA {

// NaN passes through every one: where a comparison decides, its false side is x.

struct LogSigmoid {
  static constexpr const char* name = "logsigmoid";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return -softplus(-x);
  }
};
struct Relu {
  static constexpr const char* name = "relu";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x <= 0, V(0), x);
  }
};
struct Silu {
  static constexpr const char* name = "silu";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return x * sigmoid(x);
  }
};
/// x tanh(softplus(x)), without the logarithm: tanh(ln(1 + e)) = n / (n + 2), n = e (e + 2).
struct Mish {
  static constexpr const char* name = "mish";
  template <class V>
  BRUME_HD V operator()(V x) const {
    const V e = exp(min(V(20), x)), n = e * (e + 2);
    return x * (n / (n + 2));
  }
};
struct Gelu {
  static constexpr const char* name = "gelu";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return 0.5 * x * (1 + erf(0.7071067811865476 * x));
  }
};
/// (1 + tanh(u)) / 2 = sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  static constexpr const char* name = "gelu_tanh";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return x * sigmoid(1.5957691216057308 * x * (1 + 0.044715 * x * x));
  }
};
struct Elu {
  static constexpr const char* name = "elu";
  double alpha, scale = 1;  // selu scales
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x > 0, scale * x, scale * alpha * expm1(min(V(0), x)));
  }
};
struct Celu {
  static constexpr const char* name = "celu";
  double alpha;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x > 0, x, alpha * expm1(min(V(0), x) / alpha));
  }
};
struct LeakyRelu {
  static constexpr const char* name = "leaky_relu";
  double slope;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x > 0, x, slope * x);
  }
};
struct Softplus {
  static constexpr const char* name = "softplus";
  double beta, threshold;  // linear where beta x is beyond the threshold
  template <class V>
  BRUME_HD V operator()(V x) const {
    const V bx = beta * x;
    return select(bx > threshold, x, softplus(bx) / beta);
  }
};
struct Softsign {
  static constexpr const char* name = "softsign";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return x / (1 + abs(x));
  }
};
struct Tanhshrink {
  static constexpr const char* name = "tanhshrink";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return x - tanh(x);
  }
};
struct Softshrink {
  static constexpr const char* name = "softshrink";
  double lambda;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x > lambda, x - lambda, select(x < -lambda, x + lambda, 0 * x));
  }
};
struct Hardshrink {
  static constexpr const char* name = "hardshrink";
  double lambda;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select((x >= -lambda) & (x <= lambda), V(0), x);
  }
};
struct Hardswish {
  static constexpr const char* name = "hardswish";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x <= -3, V(0), select(x >= 3, x, x * (x + 3) / 6));
  }
};
struct Hardsigmoid {
  static constexpr const char* name = "hardsigmoid";
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x <= -3, V(0), select(x >= 3, V(1), x / 6 + 0.5));
  }
};
struct Threshold {
  static constexpr const char* name = "threshold";
  double threshold, value;
  template <class V>
  BRUME_HD V operator()(V x) const {
    return select(x <= threshold, V(value), x);
  }
};
struct Prelu {
  static constexpr const char* name = "prelu";
  static constexpr Needs kNeeds{{0b11, 0b01}};
  template <class V>
  BRUME_HD V operator()(V x, V slope) const {
    return select(x > 0, x, slope * x);
  }
};
struct Glu {
  static constexpr const char* name = "glu";
  static constexpr Needs kNeeds{{0b10, 0b11}};
  template <class V>
  BRUME_HD V operator()(V x, V gate) const {
    return x * sigmoid(gate);
  }
  template <class V>
  BRUME_HD auto df(V x, V gate) const {
    const V s = sigmoid(gate);
    return Partials{s, x * s * (1 - s)};
  }
};

struct Modulate {
  static constexpr const char* name = "modulate";
  static constexpr unsigned kUnitPartials = 0b100;
  static constexpr Needs kNeeds{{0b010, 0b001, 0}};
  template <class V>
  BRUME_HD V operator()(V x, V scale, V shift) const {
    return x * (1 + scale) + shift;
  }
  template <class V>
  BRUME_HD auto df(V x, V scale, V) const {
    return Partials{1 + scale, x, V(1)};
  }
};
struct GatedResidual {
  static constexpr const char* name = "gated_residual";
  static constexpr unsigned kUnitPartials = 0b001;
  static constexpr Needs kNeeds{{0, 0b100, 0b010}};
  template <class V>
  BRUME_HD V operator()(V x, V gate, V y) const {
    return x + gate * y;
  }
  template <class V>
  BRUME_HD auto df(V, V gate, V y) const {
    return Partials{V(1), y, gate};
  }
};
struct SkipAddScale {
  static constexpr const char* name = "skip_add_scale";
  static constexpr Needs kNeeds{{0, 0}};
  double c;
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return (x + y) * c;
  }
  template <class V>
  BRUME_HD auto df(V, V) const {
    return Partials{V(c), V(c)};
  }
};
struct Combine {
  static constexpr const char* name = "combine";
  static constexpr Needs kNeeds{{0b0010, 0b0001, 0b1000, 0b0100}};
  template <class V>
  BRUME_HD V operator()(V a, V x, V b, V y) const {
    return a * x + b * y;
  }
  template <class V>
  BRUME_HD auto df(V a, V x, V b, V y) const {
    return Partials{x, a, y, b};
  }
};
struct AddScaled {
  static constexpr const char* name = "add_scaled";
  static constexpr unsigned kUnitPartials = 0b01;
  static constexpr Needs kNeeds{{0, 0}};
  double c;
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return x + c * y;
  }
  template <class V>
  BRUME_HD auto df(V, V) const {
    return Partials{V(1), V(c)};
  }
};
struct LerpScalar {
  static constexpr const char* name = "lerp";
  static constexpr Needs kNeeds{{0, 0}};
  double weight;
  template <class V>
  BRUME_HD V operator()(V x, V y) const {
    return Lerp{}(x, y, V(weight));
  }
  template <class V>
  BRUME_HD auto df(V, V) const {
    return Partials{V(1 - weight), V(weight)};
  }
};
struct Addcmul {
  static constexpr const char* name = "addcmul";
  static constexpr unsigned kUnitPartials = 0b001;
  static constexpr Needs kNeeds{{0, 0b100, 0b010}};
  double c;
  template <class V>
  BRUME_HD V operator()(V x, V a, V b) const {
    return x + c * a * b;
  }
  template <class V>
  BRUME_HD auto df(V, V a, V b) const {
    return Partials{V(1), c * b, c * a};
  }
};
struct Addcdiv {
  static constexpr const char* name = "addcdiv";
  static constexpr Interval domain{0.3, 3};
  static constexpr unsigned kUnitPartials = 0b001;
  static constexpr Needs kNeeds{{0, 0b100, 0b110}};
  double c;
  template <class V>
  BRUME_HD V operator()(V x, V a, V b) const {
    return x + c * a / b;
  }
  template <class V>
  BRUME_HD auto df(V, V a, V b) const {
    const V r = c / b;
    return Partials{V(1), r, -a * r / b};
  }
};
struct WeightedSquareError {
  static constexpr const char* name = "weighted_square_error";
  static constexpr Needs kNeeds{{0b110, 0b111, 0b111}};
  template <class V>
  BRUME_HD V operator()(V weight, V x, V y) const {
    const V e = x - y;
    return weight * e * e;
  }
  template <class V>
  BRUME_HD auto df(V weight, V x, V y) const {
    const V e = x - y, slope = 2 * weight * e;
    return Partials{e * e, slope, -slope};
  }
};

}  // namespace brume::math::inline BRUME_ISA
