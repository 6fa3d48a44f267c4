// What every function of the list promises beside its value and gradient, which the op table
// checks.

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/backend.h>
#include <brume/core/math/pointwise_loops.h>

using namespace brume;

namespace {

// Its constants are a few doubles: growing ones suit limits and slopes alike.
template <class F>
F with_constants() {
  F f;
  if constexpr (!std::is_empty_v<F>) {
    double constants[sizeof(F) / sizeof(double)];
    double next = 0.7;
    for (double& c : constants) c = std::exchange(next, next + 0.6);
    std::memcpy(static_cast<void*>(&f), constants, sizeof f);
  }
  return f;
}

// Numbers of an interval, the same in every run.
class Draws {
 public:
  double in(math::Interval interval) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    const double unit = static_cast<double>(state_ >> 11) * 0x1p-53;
    return interval.low + (interval.high - interval.low) * unit;
  }

 private:
  uint64_t state_ = 1;
};

// Hides the derivatives that a functor brings: dual numbers take their place.
template <class F>
struct ByDuals {
  F f;
  auto operator()(auto... x) const { return f(x...); }
};

using V = math::Vec<double, 1>;

template <class F>
constexpr bool has_own_derivatives(const F& f) {
  constexpr int kArity = math::arity_of<F, V>();
  return [&]<int... k>(std::integer_sequence<int, k...>) {
    return requires(V x) { f.df((static_cast<void>(k), x)...); };
  }
  (math::Operands<kArity>{});
}

template <class F>
void check_own_derivatives() {
  constexpr int kArity = math::arity_of<F, V>();
  const F f = with_constants<F>();
  if constexpr (has_own_derivatives(F{})) {
    Draws draws;
    for (int trial = 0; trial < 20; ++trial) {
      V x[kArity];
      for (V& xk : x) xk = V(draws.in(math::domain<F>));
      const auto own = math::partials(f, x, math::Operands<kArity>{});
      const auto dual = math::partials(ByDuals<F>{f}, x, math::Operands<kArity>{});
      for (int k = 0; k < kArity; ++k) {
        INFO(std::string(F::name) << ", along operand " << k);
        CHECK(own.d[k].v == doctest::Approx(dual.d[k].v).epsilon(1e-12));
      }
    }
  }
}

template <class F>
void check_declared_needs() {
  constexpr int kArity = math::arity_of<F, V>();
  if constexpr (!math::Loops<F, V, kArity>::kPredicate) {
    constexpr unsigned kUnit = math::unit_partials<F>;
    const F f = with_constants<F>();
    Draws draws;
    for (int trial = 0; trial < 20; ++trial) {
      V x[kArity];
      for (V& xk : x) xk = V(draws.in(math::domain<F>));
      const auto p = math::partials(f, x, math::Operands<kArity>{});
      for (int k = 0; k < kArity; ++k) {
        INFO(std::string(F::name) << ", along operand " << k);
        if ((kUnit >> k & 1U) != 0) CHECK(p.d[k].v == 1);
        V other[kArity];
        for (int j = 0; j < kArity; ++j)
          other[j] = math::needs<F>.of[k] >> j & 1 ? x[j] : V(draws.in(math::domain<F>));
        // Not equal to the bit: the compiler may evaluate one of the two itself, and rounds better.
        CHECK(math::partials(f, other, math::Operands<kArity>{}).d[k].v ==
              doctest::Approx(p.d[k].v).epsilon(1e-15));
      }
    }
  }
}

// The bits of an element, computed among others and alone.
template <class F>
void check_position() {
  constexpr int kArity = math::arity_of<F, V>();
  constexpr int64_t kCount = 41;
  const F f = with_constants<F>();
  Draws draws;
  float x[kArity][kCount], g[kCount], y[kCount], gx[kArity][kCount];
  for (int64_t i = 0; i < kCount; ++i) {
    g[i] = static_cast<float>(draws.in({-2, 2}));
    for (auto& xk : x) xk[i] = static_cast<float>(draws.in(math::domain<F>));
  }
  const PointwiseFn fn{.name = F::name,
                       .id = math::AllPointwiseFns::index<F>,
                       .arity = kArity,
                       .functor = &f,
                       .functor_bytes = sizeof f};
  const PointwiseKernels& kernels = backend(DeviceType::cpu).pointwise;
  const auto run = [&](int64_t first, int64_t n, float* value, float(*gradients)[kCount]) {
    const auto view = [n](float* data) { return View{data, DType::f32, {n}, {1}}; };
    View in[kArity], out[kArity];
    for (int k = 0; k < kArity; ++k) {
      in[k] = view(x[k] + first);
      out[k] = view(gradients[k]);
    }
    kernels.forward(fn, in, view(value));
    if constexpr (!math::Loops<F, V, kArity>::kPredicate)
      kernels.backward(fn, view(g + first), in, out);
  };
  run(0, kCount, y, gx);
  for (int64_t i = 0; i < kCount; ++i) {
    float value[1], gradients[kArity][kCount];
    run(i, 1, value, gradients);
    INFO(std::string(F::name) << " of element " << i);
    CHECK(std::memcmp(value, y + i, sizeof(float)) == 0);
    if constexpr (!math::Loops<F, V, kArity>::kPredicate)
      for (int k = 0; k < kArity; ++k)
        CHECK(std::memcmp(gradients[k], gx[k] + i, sizeof(float)) == 0);
  }
}

template <class... F>
void for_all(math::FnList<F...>, auto check) {
  (check.template operator()<F>(), ...);
}

}  // namespace

TEST_CASE("a function's own derivatives equal those by dual numbers") {
  for_all(math::AllPointwiseFns{}, []<class F>() { check_own_derivatives<F>(); });
}

TEST_CASE("a derivative depends on no operand beyond those that its function declares") {
  for_all(math::AllPointwiseFns{}, []<class F>() { check_declared_needs<F>(); });
}

TEST_CASE("an element's bits do not depend on where it stands") {
  for_all(math::AllPointwiseFns{}, []<class F>() { check_position<F>(); });
}
