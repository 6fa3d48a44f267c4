#include "examples/density/mixture.h"

#include <cmath>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

using namespace brume;
using namespace brume::density;

TEST_CASE("the score is the mean pull of all that could have been there before the noise") {
  // Denoising score matching's identity: E[score(x + sigma n)] weighted by any g(x_t) equals
  // E[-n / sigma] weighted the same.
  const SpiralArms density;
  const int64_t count = 200'000;
  Generator rng(1);
  const Tensor arm = random_integers({count}, 0, 2, rng), n = normal({count, 2}, rng);
  const double sigma = 0.5;
  const Tensor x = density.draw(arm, rng) + n * sigma;
  const Tensor score = density.score(x, full({count}, sigma), arm);
  for (const Tensor& weight : {x, sin(x * 3.0)})
    CHECK(mean(score * weight).item() ==
          doctest::Approx(mean(n * weight / -sigma).item()).epsilon(0.02));
}

TEST_CASE("far away the score points home, and of one part it is a Gaussian's") {
  const SpiralArms one(1, 0.1);  // its means are (0, 1.5) and (0, -1.5)
  const Tensor x = from_vector<float>({1, 1, 1, 1}, {2, 2});
  const Tensor arm = from_vector<int64_t>({0, 1}, {2});
  const auto score = one.score(x, full({2}, 2), arm).to_vector<double>();
  const double variance = 4 + 0.01;
  CHECK(score[0] == doctest::Approx(-1 / variance));
  CHECK(score[1] == doctest::Approx(0.5 / variance));
  CHECK(score[2] == doctest::Approx(-1 / variance));
  CHECK(score[3] == doctest::Approx(-2.5 / variance));
}

TEST_CASE("samples have the standard deviation that is stated") {
  const SpiralArms density;
  Generator rng(2);
  const Tensor x = density.draw(random_integers({50'000}, 0, 2, rng), rng);
  CHECK(std::sqrt(mean(var(x, 0)).item()) ==
        doctest::Approx(density.standard_deviation()).epsilon(0.01));
}
