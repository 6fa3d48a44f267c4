// Guidance by observations.

#include <cmath>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/diffusion/dps.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>

#include "tests/error_of.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

const EDMNoiseScheduler kScheduler;
Tensor to_score(const Tensor& x0, const Tensor& x, const Tensor& t) {
  return kScheduler.x0_to_score(x0, x, t);
}
// The ideal denoiser of N(0, 1).
Tensor ideal(const Tensor& x, const Tensor& t) { return x / (1.0 + square(per_sample(t, x))); }
Observations observed(double y, NumberOrTensor std_y = 0.5) {
  return {.y = full({1, 2}, y), .std_y = std::move(std_y)};
}

}  // namespace

TEST_CASE("the term of an observation is the gradient of its likelihood") {
  // x0 = x / (1 + t^2) = 2, so the term is -(2 - 3) / 0.25 / (1 + t^2) = 2.
  const Tensor x = full({1, 2}, 4), t = ones({1});
  const Tensor mask = from_vector(std::vector<float>{1, 0}, {1, 2});
  const NoGrad guard;
  const Tensor score =
      DPSScorePredictor(ideal, to_score, {DataConsistencyDPSGuidance(mask, observed(3))})(x, t);
  CHECK(score.to_vector<float>()[0] == doctest::Approx(2 - 4 + 2));
  CHECK(score.to_vector<float>()[1] == doctest::Approx(2 - 4));
  CHECK_FALSE(requires_grad(score));
  Observations gaps = observed(3);  // what nobody observed may be anything, as NaN
  gaps.y = where(ne(mask, 0), gaps.y, full(gaps.y.shape(), std::nan("")));
  CHECK(DPSScorePredictor(ideal, to_score, {DataConsistencyDPSGuidance(mask, gaps)})(x, t)
            .to_vector<float>() == score.to_vector<float>());

  Observations absolute = observed(3);
  absolute.norm = 1;  // gradient 1 / (2 * 0.25) / 2
  const auto term = [&](const Observations& o) {
    const auto guidance = ModelConsistencyDPSGuidance([](const Tensor& x0) { return x0; }, o);
    return DPSScorePredictor(ideal, to_score, {guidance})(x, t).to_vector<float>()[0] - (2 - 4);
  };
  CHECK(term(absolute) == doctest::Approx(1));
  Observations own = observed(3);
  own.loss = [](const Tensor& a, const Tensor& b) { return square(a - b) * 2.0; };
  CHECK(term(own) == doctest::Approx(4));
  Observations uncertain = observed(3);
  uncertain.gamma = 0.75;
  uncertain.sigma_fn = [](const Tensor& time) { return time; };  // variance 0.25 + 0.75
  CHECK(term(uncertain) == doctest::Approx(0.5));
}

TEST_CASE("guided samples of Gaussian data follow a linear observation") {
  // x ~ N(0, 1) seen as 1 with error 0.3: the posterior mean is 1 / 1.09. Scaling by gamma = the
  // prior's share makes the guidance exact for Gaussians: 1/(1+sigma^2) of sigma^2.
  Observations o{.y = full({1, 1}, 1.0), .std_y = 0.3, .gamma = 1.0};
  o.sigma_fn = [](const Tensor& t) { return t / sqrt(1.0 + square(t)); };
  const DPSScorePredictor score(
      ideal, to_score, {ModelConsistencyDPSGuidance([](const Tensor& x0) { return x0; }, o)});
  const NoGrad guard;
  Generator rng(1);
  NoiseSource noise(rng);
  constexpr int64_t kCount = 4000;
  const Tensor x = sample(denoiser(kScheduler, {.score = score}),
                          kScheduler.init_latents({kCount, 1}, full({kCount}, 80), noise),
                          kScheduler, {.num_steps = 40});
  CHECK(mean(x).item() == doctest::Approx(1 / 1.09).epsilon(0.03).scale(0));
  CHECK(var(x).item() == doctest::Approx(0.09 / 1.09).epsilon(0.1).scale(0));
}

TEST_CASE("several guidances share one graph, and a guided run can be differentiated") {
  Observations first = observed(3), second = observed(1);
  first.retain_graph = first.create_graph = second.retain_graph = second.create_graph = true;
  const auto identity = [](const Tensor& x0) { return x0; };
  const Tensor scale = set_requires_grad(scalar(1));
  const Predictor model = [&](const Tensor& x, const Tensor& t) { return ideal(x, t) * scale; };
  const DPSScorePredictor score(model, to_score,
                                {ModelConsistencyDPSGuidance(identity, first),
                                 ModelConsistencyDPSGuidance(identity, second)});
  const Tensor x = sample(
      denoiser(kScheduler, {.score = score}), full({1, 2}, 1), kScheduler,
      {.solver = EulerSolver{}, .time_steps = from_vector(std::vector<double>{1, 0.7, 0.5}, {3})});
  const Tensor g = grad({sum(x)}, {scale})[0];
  REQUIRE(g.defined());
  // The same by finite differences.
  const auto run = [&](double s) {
    const NoGrad guard;
    copy_(scale, scalar(s));
    return sum(sample(denoiser(kScheduler, {.score = score}), full({1, 2}, 1), kScheduler,
                      {.solver = EulerSolver{},
                       .time_steps = from_vector(std::vector<double>{1, 0.7, 0.5}, {3})}))
        .item();
  };
  CHECK(g.item() == doctest::Approx((run(1.01) - run(0.99)) / 0.02).epsilon(0.01).scale(0));
}

TEST_CASE("a guidance that cannot reach x is refused, not left out") {
  const Tensor x = full({1, 2}, 4), t = ones({1});
  const auto error = [&](const Predictor& predictor, std::vector<DPSGuidance> guidances) {
    return error_of([&] {
      const NoGrad guard;
      (void)DPSScorePredictor(predictor, to_score, std::move(guidances))(x, t);
    });
  };
  const Predictor detached = [](const Tensor& y, const Tensor& at) {
    const NoGrad guard;
    return ideal(y, at);
  };
  const std::string lost =
      "the prediction does not depend on x; predictor and observation operator must record "
      "gradients (no NoGrad, detach or numbers taken out of a tensor)";
  CHECK(error(detached, {DataConsistencyDPSGuidance(ones({1, 2}), observed(1))}) ==
        "DataConsistencyDPSGuidance: " + lost);
  CHECK(error(ideal, {ModelConsistencyDPSGuidance([](const Tensor& x0) { return detach(x0); },
                                                  observed(1))}) ==
        "ModelConsistencyDPSGuidance: " + lost);
  const DataConsistencyDPSGuidance follows(ones({1, 2}), observed(1));
  const std::string freed = error(ideal, {follows, follows});
  CHECK(freed.starts_with("DataConsistencyDPSGuidance: backward: the graph behind "));
  CHECK(freed.ends_with("; of several guidances all but the last want retain_graph"));
  Observations kept = observed(1);
  kept.retain_graph = true;
  CHECK(error(ideal, {DataConsistencyDPSGuidance(ones({1, 2}), kept), follows}).empty());
}

TEST_CASE("observations say what does not fit") {
  const auto identity = [](const Tensor& x0) { return x0; };
  const auto error = [&](Observations o) {
    return error_of([&] { ModelConsistencyDPSGuidance(identity, std::move(o)); });
  };
  CHECK(error(observed(1, ones({3}))) ==
        "ModelConsistencyDPSGuidance: std_y of [3] does not broadcast to y of [1, 2]");
  CHECK(error(observed(1, 0.0)) == "ModelConsistencyDPSGuidance: std_y must be positive, got 0");
  Observations o = observed(1);
  o.gamma = 1.0;
  CHECK(error(o) == "ModelConsistencyDPSGuidance: gamma > 0 wants a sigma_fn");
  CHECK(error({}) == "ModelConsistencyDPSGuidance: wants observations y");
  CHECK(error_of([&] { DataConsistencyDPSGuidance(ones({3}), observed(1)); }) ==
        "DataConsistencyDPSGuidance: a mask of [3] does not broadcast to y of [1, 2]");
  CHECK(error_of([&] { DataConsistencyDPSGuidance({}, observed(1)); }) ==
        "DataConsistencyDPSGuidance: wants a mask");
  CHECK(error_of([&] { DataConsistencyDPSGuidance(ones({3}), {}); }) ==
        "DataConsistencyDPSGuidance: wants observations y");
  Observations away = observed(1);
  away.gamma = -0.5;
  CHECK(error_of([&] {
          DataConsistencyDPSGuidance(ones({1, 2}), away);
        }) == "DataConsistencyDPSGuidance: gamma must not be negative, got -0.5");
  CHECK(error_of([&] { DPSScorePredictor(ideal, to_score, {}); }) ==
        "DPSScorePredictor: wants an x0_predictor, an x0_to_score_fn and a guidance");
}

TEST_CASE("a loss of one's own gives a number for each element, not their sum") {
  const Tensor x = full({1, 2}, 4), t = ones({1});
  Observations own = observed(3);
  own.loss = [](const Tensor& a, const Tensor& b) { return sum(square(a - b)); };
  CHECK(error_of([&] {
          (void)DPSScorePredictor(ideal, to_score, {DataConsistencyDPSGuidance(ones({1, 2}), own)})(
              x, t);
        }) ==
        "DataConsistencyDPSGuidance: the loss of [] wants one number for each element of the "
        "prediction of [1, 2]; their sum is taken here");
}
