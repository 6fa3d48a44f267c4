// Accuracy of the elementary functions in f32 over the whole number line, on the instruction set in
// use. The bounds are part of the interface.

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/backend.h>
#include <brume/core/math/pointwise_list.h>

using namespace brume;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// f32 in order: equal steps of this number pass through all sizes, denormals included.
int64_t order_of(float x) {
  const auto bits = std::bit_cast<int32_t>(x);
  return bits < 0 ? -int64_t{bits & 0x7fffffff} : bits;
}
float float_of(int64_t order) {
  const auto size = static_cast<uint32_t>(order < 0 ? -order : order);
  return std::bit_cast<float>(order < 0 ? size | 0x80000000U : size);
}

std::vector<float> everywhere(float low, float high) {
  constexpr int64_t kSteps = 40000;
  const int64_t first = order_of(low), last = order_of(high);
  std::vector<float> x;
  for (int64_t i = 0; i <= kSteps; ++i) x.push_back(float_of(first + (last - first) / kSteps * i));
  x.push_back(high);
  for (float special : {0.0F, -0.0F, 1.0F, -1.0F, 0x1p-149F, -0x1p-149F})
    if (special >= low && special <= high) x.push_back(special);
  x.push_back(std::numeric_limits<float>::quiet_NaN());
  return x;
}

template <class F>
std::vector<float> values_of(const F& f, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  const Shape shape{static_cast<int64_t>(x.size())};
  const View in{const_cast<float*>(x.data()), DType::f32, shape, {1}};
  const View out{y.data(), DType::f32, shape, {1}};
  const PointwiseFn fn{.name = "test",
                       .id = math::AllPointwiseFns::index<F>,
                       .functor = &f,
                       .functor_bytes = sizeof f};
  backend(DeviceType::cpu).pointwise.forward(fn, &in, out);
  return y;
}

// |y - exact| in units of the last place of the f32 nearest to it.
double error_in_ulp(float y, double exact) {
  const auto nearest = static_cast<float>(exact);
  if (std::isnan(exact)) return std::isnan(y) ? 0 : kInf;
  if (std::isinf(nearest) || !std::isfinite(y)) return y == nearest ? 0 : kInf;
  int exponent = 0;
  std::frexp(nearest, &exponent);
  return std::abs(y - exact) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

template <class F, class Exact>
void check_accuracy(Exact exact, double bound, float low = -kInf, float high = kInf) {
  const std::vector<float> x = everywhere(low, high), y = values_of(F{}, x);
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = error_in_ulp(y[i], exact(static_cast<double>(x[i])));
    if (error > worst) {
      worst = error;
      at = i;
    }
  }
  INFO(std::string(F::name) << " at " << x[at] << " is " << y[at]);
  CHECK(worst <= bound);
}

}  // namespace

TEST_CASE("elementary functions are right to a few units in the last place everywhere") {
  using namespace math;
  check_accuracy<Exp>([](double x) { return std::exp(x); }, 1);
  check_accuracy<Expm1>([](double x) { return std::expm1(x); }, 1.5);
  check_accuracy<Log>([](double x) { return std::log(x); }, 1);
  check_accuracy<Log1p>([](double x) { return std::log1p(x); }, 1);
  check_accuracy<Log2>([](double x) { return std::log2(x); }, 2);
  check_accuracy<Log10>([](double x) { return std::log10(x); }, 2);
  check_accuracy<Sqrt>([](double x) { return std::sqrt(x); }, 0.5);
  check_accuracy<Rsqrt>([](double x) { return 1 / std::sqrt(x); }, 1.5);
  check_accuracy<Reciprocal>([](double x) { return 1 / x; }, 0.5);
  check_accuracy<Sin>([](double x) { return std::sin(x); }, 2);
  check_accuracy<Cos>([](double x) { return std::cos(x); }, 2);
  check_accuracy<Tan>([](double x) { return std::tan(x); }, 3.5);
  check_accuracy<Asin>([](double x) { return std::asin(x); }, 2.5);
  check_accuracy<Acos>([](double x) { return std::acos(x); }, 1.5);
  check_accuracy<Atan>([](double x) { return std::atan(x); }, 2);
  check_accuracy<Sinh>([](double x) { return std::sinh(x); }, 3);
  check_accuracy<Cosh>([](double x) { return std::cosh(x); }, 3);
  check_accuracy<Tanh>([](double x) { return std::tanh(x); }, 2.5);
  check_accuracy<Asinh>([](double x) { return std::asinh(x); }, 3);
  check_accuracy<Acosh>([](double x) { return std::acosh(x); }, 2.5);
  check_accuracy<Atanh>([](double x) { return std::atanh(x); }, 2.5);
  check_accuracy<Erf>([](double x) { return std::erf(x); }, 1.5);
  check_accuracy<Lgamma>([](double x) { return std::lgamma(x); }, 1);
  check_accuracy<Sigmoid>([](double x) { return 1 / (1 + std::exp(-x)); }, 2.5);
  check_accuracy<LogSigmoid>([](double x) { return x < -40 ? x : -std::log1p(std::exp(-x)); }, 2);
}

TEST_CASE("rounding functions are exact") {
  using namespace math;
  check_accuracy<Floor>([](double x) { return std::floor(x); }, 0);
  check_accuracy<Ceil>([](double x) { return std::ceil(x); }, 0);
  check_accuracy<Trunc>([](double x) { return std::trunc(x); }, 0);
  check_accuracy<Round>([](double x) { return std::nearbyint(x); }, 0);
  CHECK(values_of(Round{}, {0.5F, 1.5F, 2.5F, -0.5F, 8388607.5F}) ==
        std::vector<float>{0, 2, 2, 0, 8388608});
}

TEST_CASE("gamma functions and the inverse of erf agree with known values") {
  using namespace math;
  // Abramowitz and Stegun 1964, tables 6.1 and 6.2; erf(0.4769362762044699) = 1/2.
  const double euler = 0.57721566490153286;
  CHECK(polygamma<0>(1.0) == doctest::Approx(-euler).epsilon(1e-14));
  CHECK(polygamma<0>(0.5) == doctest::Approx(-euler - 2 * std::log(2.0)).epsilon(1e-14));
  CHECK(polygamma<0>(-1.3) == doctest::Approx(2.8825405488661673).epsilon(1e-13));
  CHECK(polygamma<1>(1.0) == doctest::Approx(M_PI * M_PI / 6).epsilon(1e-14));
  CHECK(polygamma<1>(-1.3) == doctest::Approx(14.53687624413708).epsilon(1e-13));
  CHECK(polygamma<2>(1.0) == doctest::Approx(-2.4041138063191885).epsilon(1e-14));
  CHECK(polygamma<2>(-1.3) == doctest::Approx(68.54941347116214).epsilon(1e-13));
  CHECK(std::isnan(polygamma<0>(-2.0)));
  CHECK(inverse_erf(0.5) == doctest::Approx(0.4769362762044699).epsilon(1e-15));
  CHECK(inverse_erf(-1) == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(inverse_erf(1.5)));
  for (double y = -0.9999; y < 1; y += 0.0101)
    CHECK(std::erf(inverse_erf(y)) == doctest::Approx(y));
}
