// The finite-difference checker finds what it is there to find.

#include <brume/autograd/gradcheck.h>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>

using namespace brume;

namespace {

Tensor leaf() { return set_requires_grad(from_vector<double>({0.3, -1.2, 2.5}, {3})); }

// x^3 whose recorded gradient is `factor` times the true one.
Tensor cube(const Tensor& x, double factor) {
  const Tensor y = detach(x) * detach(x) * detach(x);
  return record("cube", y, {x}, [x = Saved(x), factor](const Tensor& g) {
    return Grads{g * square(x.get()) * (3 * factor)};
  });
}

// x^3 whose first derivative is right, but recorded as a constant.
Tensor cube_once(const Tensor& x) {
  const Tensor y = detach(x) * detach(x) * detach(x);
  return record("cube", y, {x},
                [x = Saved(x)](const Tensor& g) { return Grads{g * square(detach(x.get())) * 3}; });
}

}  // namespace

TEST_CASE("a right gradient passes the check, to second order too") {
  const auto f = [](const Tensors& in) { return Tensors{cube(in[0], 1)}; };
  const GradcheckResult result = gradcheck(f, {leaf()}, {.second_order = true});
  CHECK(result);
  CHECK(result.error < 1e-8);
}

TEST_CASE("a gradient that is off by a hundred-thousandth is found") {
  const auto f = [](const Tensors& in) { return Tensors{cube(in[0], 1.00001)}; };
  const GradcheckResult result = gradcheck(f, {leaf()});
  CHECK(!result);
  CHECK(result.text.find("gradient of input 0") == 0);
}

TEST_CASE("a second derivative that is lost is found") {
  const auto f = [](const Tensors& in) { return Tensors{cube_once(in[0])}; };
  CHECK(gradcheck(f, {leaf()}));
  const GradcheckResult result = gradcheck(f, {leaf()}, {.second_order = true});
  CHECK(!result);
  CHECK(result.text.find("second order") == 0);
}

TEST_CASE("only inputs that require a gradient are checked") {
  const auto f = [](const Tensors& in) { return Tensors{cube(in[0], 1) + detach(in[1])}; };
  const Tensor plain = from_vector<double>({1, 2, 3}, {3});
  CHECK(gradcheck(f, {leaf(), plain}));
}

TEST_CASE("a check of nothing is refused") {
  const auto f = [](const Tensors& in) { return Tensors{cube(in[0], 2)}; };
  CHECK_THROWS_AS(gradcheck(f, {detach(leaf())}), GradError);
  CHECK_THROWS_AS(gradcheck(f, {}), GradError);
}

TEST_CASE("f32 is too coarse for finite differences and is refused") {
  const Tensor x = set_requires_grad(ones({2}));
  CHECK_THROWS_AS(gradcheck([](const Tensors& in) { return Tensors{cube(in[0], 1)}; }, {x}),
                  DTypeError);
}
