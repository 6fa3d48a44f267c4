#pragma once
// Element by element. Operands broadcast and share their dtype; boolean ones read as 0 and 1. The
// result keeps the memory order of the first operand that has its shape. Operands come by value: a
// temporary that nobody else sees gives its memory to the result.

#include <brume/core/tensor.h>

namespace brume {

// Arithmetic. On integers it is exact up to 2^53; what does not give integers raises DTypeError.
Tensor operator+(Tensor x, Tensor y);
Tensor operator-(Tensor x, Tensor y);
Tensor operator*(Tensor x, Tensor y);
Tensor operator/(Tensor x, Tensor y);
Tensor operator+(Tensor x, double c);
Tensor operator-(Tensor x, double c);
Tensor operator*(Tensor x, double c);
Tensor operator/(Tensor x, double c);
Tensor operator+(double c, Tensor x);
Tensor operator-(double c, Tensor x);
Tensor operator*(double c, Tensor x);
Tensor operator/(double c, Tensor x);
Tensor operator-(Tensor x);

Tensor pow(Tensor x, Tensor y);
Tensor pow(Tensor x, double exponent);
/// The remainder of x / y with the sign of x. Integers by a tensor's 0: to_integer(NaN).
Tensor fmod(Tensor x, Tensor y);
Tensor fmod(Tensor x, double y);
/// The remainder of x / y with the sign of y. @throws Error for integers by the number 0
Tensor remainder(Tensor x, Tensor y);
Tensor remainder(Tensor x, double y);
/// floor(x / y); by 0 as the two above.
Tensor floor_divide(Tensor x, Tensor y);
Tensor floor_divide(Tensor x, double y);
/// NaN wins; ties share the gradient evenly.
Tensor maximum(Tensor x, Tensor y);
Tensor minimum(Tensor x, Tensor y);
/// The gradient is zero from the limits outwards.
Tensor clamp(Tensor x, double low, double high);
Tensor clamp_min(Tensor x, double low);
Tensor clamp_max(Tensor x, double high);
/// The angle of the point (x, y), in (-pi, pi].
Tensor atan2(Tensor y, Tensor x);
/// x + weight * (y - x)
Tensor lerp(Tensor x, Tensor y, Tensor weight);
Tensor lerp(Tensor x, Tensor y, double weight);

// Comparisons and logic; results are bool, without a gradient.
Tensor eq(Tensor x, Tensor y);
Tensor ne(Tensor x, Tensor y);
Tensor lt(Tensor x, Tensor y);
Tensor le(Tensor x, Tensor y);
Tensor gt(Tensor x, Tensor y);
Tensor ge(Tensor x, Tensor y);
Tensor eq(Tensor x, double c);
Tensor ne(Tensor x, double c);
Tensor lt(Tensor x, double c);
Tensor le(Tensor x, double c);
Tensor gt(Tensor x, double c);
Tensor ge(Tensor x, double c);
Tensor logical_and(Tensor x, Tensor y);
Tensor logical_or(Tensor x, Tensor y);
Tensor logical_not(Tensor x);
Tensor isnan(Tensor x);
Tensor isinf(Tensor x);
Tensor isfinite(Tensor x);
/// x where mask holds, else y.
Tensor where(Tensor mask, Tensor x, Tensor y);
Tensor where(Tensor mask, Tensor x, double y);
Tensor where(Tensor mask, double x, Tensor y);
/// NaN and infinities replaced; by default infinities become the dtype's largest numbers.
Tensor nan_to_num(Tensor x, double nan = 0);
Tensor nan_to_num(Tensor x, double nan, double positive_infinity, double negative_infinity);

// Elementary functions.
Tensor abs(Tensor x);
Tensor sign(Tensor x);  // sign(NaN) = 0
Tensor square(Tensor x);
Tensor reciprocal(Tensor x);
Tensor sqrt(Tensor x);
Tensor rsqrt(Tensor x);
Tensor exp(Tensor x);
Tensor expm1(Tensor x);
Tensor log(Tensor x);
Tensor log1p(Tensor x);
Tensor log2(Tensor x);
Tensor log10(Tensor x);
Tensor sin(Tensor x);
Tensor cos(Tensor x);
Tensor tan(Tensor x);
Tensor asin(Tensor x);
Tensor acos(Tensor x);
Tensor atan(Tensor x);
Tensor sinh(Tensor x);
Tensor cosh(Tensor x);
Tensor tanh(Tensor x);
Tensor asinh(Tensor x);
Tensor acosh(Tensor x);
Tensor atanh(Tensor x);
Tensor erf(Tensor x);
Tensor erfinv(Tensor x);
Tensor lgamma(Tensor x);
Tensor digamma(Tensor x);
Tensor floor(Tensor x);
Tensor ceil(Tensor x);
Tensor round(Tensor x);  // halves to even
Tensor trunc(Tensor x);

// Activations. At a kink the derivative is the one of the left (flat) side.
Tensor sigmoid(Tensor x);
Tensor logsigmoid(Tensor x);
Tensor relu(Tensor x);
Tensor relu6(Tensor x);
Tensor silu(Tensor x);
Tensor mish(Tensor x);
/// x Phi(x), Phi the normal distribution. @source Hendrycks and Gimpel 2016, arXiv:1606.08415
Tensor gelu(Tensor x);
Tensor gelu_tanh(Tensor x);  // its approximation by tanh
Tensor selu(Tensor x);
Tensor elu(Tensor x, double alpha = 1);
Tensor celu(Tensor x, double alpha = 1);
Tensor leaky_relu(Tensor x, double negative_slope = 0.01);
Tensor softplus(Tensor x, double beta = 1, double threshold = 20);
Tensor softsign(Tensor x);
Tensor tanhshrink(Tensor x);
Tensor softshrink(Tensor x, double lambda = 0.5);
Tensor hardshrink(Tensor x, double lambda = 0.5);
Tensor hardtanh(Tensor x, double low = -1, double high = 1);
Tensor hardswish(Tensor x);
Tensor hardsigmoid(Tensor x);
/// x where x > threshold, else value.
Tensor threshold(Tensor x, double threshold, double value);
/// @shape  slope [1], or [C] along axis 1 of x
Tensor prelu(Tensor x, Tensor slope);
/// x * sigmoid(gate)
Tensor glu(Tensor x, Tensor gate);

// Chains that models need in one pass.
/// x * (1 + scale) + shift
Tensor modulate(Tensor x, Tensor scale, Tensor shift);
/// x + gate * y; with a noise level as the gate it adds noise.
Tensor gated_residual(Tensor x, Tensor gate, Tensor y);
/// (x + y) * c
Tensor skip_add_scale(Tensor x, Tensor y, double c);
/// a * x + b * y
Tensor combine(Tensor a, Tensor x, Tensor b, Tensor y);
/// x + c * y
Tensor add_scaled(Tensor x, Tensor y, double c);
/// x + c * a * b
Tensor addcmul(Tensor x, Tensor a, Tensor b, double c = 1);
/// x + c * a / b
Tensor addcdiv(Tensor x, Tensor a, Tensor b, double c = 1);
/// weight * (x - y)^2
Tensor weighted_square_error(Tensor weight, Tensor x, Tensor y);

}  // namespace brume
