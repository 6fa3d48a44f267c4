#include <brume/nn/training/fit.h>

#include <cmath>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/nn/layers/linear.h>

using namespace brume;

TEST_CASE("fit finds the map that the data were made with, and says how it goes") {
  Generator rng(1);
  const nn::Construction weights(rng);
  const auto net = nn::make<nn::Linear>({.in_features = 3, .out_features = 2});
  const Tensor map = normal({3, 2}, rng);
  std::vector<std::pair<int64_t, double>> reports;
  nn::fit(*net,
          {.steps = 250,
           .lr = 0.05,
           .on_report = [&](int64_t step, double loss) { reports.emplace_back(step, loss); }},
          [&] {
            CHECK(net->training());
            const Tensor x = normal({16, 3}, rng);
            return mse_loss(net(x), matmul(x, map));
          });
  REQUIRE(reports.size() == 3);
  CHECK(reports[0].first == 100);
  CHECK(reports[2].first == 250);
  CHECK(reports[2].second < 1e-4);
  CHECK(reports[2].second < reports[0].second);
  CHECK_FALSE(net->training());
}

TEST_CASE("fit of no steps changes nothing, and a loss that is no number changes no weight") {
  const auto net = nn::make<nn::Linear>({.in_features = 1, .out_features = 1});
  const auto before = net->parameters()[0].tensor.to_vector<float>();
  const Tensor x = ones({1, 1});
  nn::fit(*net, {.steps = 0}, [&] { return mse_loss(net(x), x); });
  CHECK_THROWS_AS(nn::fit(*net, {.steps = 2}, [&] { return mse_loss(net(x), x / 0.0); }),
                  GradError);
  CHECK_THROWS_AS(nn::fit(*net, {.report_steps = 0}, [&] { return mse_loss(net(x), x); }),
                  ShapeError);
  CHECK(net->parameters()[0].tensor.to_vector<float>() == before);
}
