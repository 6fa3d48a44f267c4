#include <cmath>
#include <limits>
#include <memory>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/iddpm_levels.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm_log_uniform.h>
#include <brume/diffusion/schedulers/iddpm.h>
#include <brume/diffusion/schedulers/student_t_edm.h>
#include <brume/diffusion/schedulers/time_grid.h>
#include <brume/diffusion/schedulers/ve.h>
#include <brume/diffusion/schedulers/vp.h>
#include <brume/diffusion/solvers/exponential.h>

#include "tests/error_of.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

std::vector<std::shared_ptr<LinearGaussianNoiseScheduler>> all_schedulers() {
  return {std::make_shared<EDMNoiseScheduler>(),   std::make_shared<EDMLogUniformNoiseScheduler>(),
          std::make_shared<VENoiseScheduler>(),    std::make_shared<VPNoiseScheduler>(),
          std::make_shared<IDDPMNoiseScheduler>(), std::make_shared<StudentTEDMNoiseScheduler>()};
}

double largest_difference(const Tensor& a, const Tensor& b) { return max(abs(a - b)).item(); }

// What a program adds for a process of its own: alpha = cos, sigma = sin.
class CosineScheduler : public LinearGaussianNoiseScheduler {
 public:
  Tensor sigma(const Tensor& t) const override { return sin(t); }
  Tensor sigma_inv(const Tensor& sigma) const override { return asin(sigma); }
  Tensor sigma_dot(const Tensor& t) const override { return cos(t); }
  Tensor alpha(const Tensor& t) const override { return cos(t); }
  Tensor alpha_dot(const Tensor& t) const override { return -sin(t); }
  Tensor sample_time(int64_t n, Generator& rng, TensorOptions options) const override {
    return uniform({n}, rng, options) * 1.5;
  }
  Tensor loss_weight(const Tensor& t) const override { return 1.0 / square(sin(t)); }
  Tensor timesteps(int64_t n, TensorOptions options) const override {
    return then_zero(1.5 - even_grid("CosineScheduler", n, options) * 1.49);
  }
};

// Rectified flow, whose alpha is 0 at t = 1.
class FlowScheduler : public CosineScheduler {
 public:
  Tensor sigma(const Tensor& t) const override { return t * 1.0; }
  Tensor sigma_dot(const Tensor& t) const override { return ones_like(t); }
  Tensor alpha(const Tensor& t) const override { return 1.0 - t; }
  Tensor alpha_dot(const Tensor& t) const override { return -ones_like(t); }
};

template <class S>
concept MakesDenoiser = requires(S&& s) {
  denoiser(std::forward<S>(s), DenoiserOptions());
};

}  // namespace

TEST_CASE("what keeps a scheduler takes none that is about to go") {
  CHECK(std::is_constructible_v<MSEDSMLoss, AnyModel, const EDMNoiseScheduler&>);
  CHECK_FALSE(std::is_constructible_v<MSEDSMLoss, AnyModel, EDMNoiseScheduler>);
  CHECK_FALSE(std::is_constructible_v<WeightedMSEDSMLoss, AnyModel, EDMNoiseScheduler>);
  CHECK(MakesDenoiser<const EDMNoiseScheduler&>);
  CHECK_FALSE(MakesDenoiser<EDMNoiseScheduler>);
}

TEST_CASE("an empty list of data scales is refused wherever one is taken") {
  const nn::OneOrMany<double> none(std::vector<double>{});
  CHECK_THROWS_AS(EDMNoiseScheduler({.sigma_data = none}), ShapeError);
  CHECK_THROWS_AS(EDMPreconditioner(AnyModel(), {.sigma_data = none}), ShapeError);
}

TEST_CASE("predictions convert into each other and back, under every scheduler") {
  Generator rng(1);
  const TensorOptions f64{.dtype = DType::f64};
  const Tensor x0 = normal({4, 3, 5}, rng, f64), epsilon = normal({4, 3, 5}, rng, f64);
  const Tensor t = uniform({4}, rng, f64) * 0.8 + 0.1, tb = per_sample(t, x0);
  for (const auto& s : all_schedulers()) {
    const Tensor x = s->alpha(tb) * x0 + s->sigma(tb) * epsilon;
    const Tensor score = -epsilon / s->sigma(tb);
    const Tensor v = s->alpha(tb) * epsilon - s->sigma(tb) * x0;
    for (const Tensor& back :
         {s->score_to_x0(score, x, t), s->epsilon_to_x0(epsilon, x, t), s->v_to_x0(v, x, t)})
      CHECK(largest_difference(back, x0) < 1e-10);
    for (const Tensor& back :
         {s->x0_to_score(x0, x, t), s->epsilon_to_score(epsilon, t), s->v_to_score(v, x, t)})
      CHECK(largest_difference(back, score) < 1e-8);
    for (const Tensor& back :
         {s->x0_to_epsilon(x0, x, t), s->score_to_epsilon(score, t), s->v_to_epsilon(v, x, t)})
      CHECK(largest_difference(back, epsilon) < 1e-10);
    for (const Tensor& back :
         {s->x0_to_v(x0, x, t), s->score_to_v(score, x, t), s->epsilon_to_v(epsilon, x, t)})
      CHECK(largest_difference(back, v) < 1e-9);
  }
}

TEST_CASE("a denoiser is the same whatever its predictor predicts") {
  Generator rng(2);
  const TensorOptions f64{.dtype = DType::f64};
  const Tensor x0 = normal({3, 2}, rng, f64), x = normal({3, 2}, rng, f64);
  const Tensor t = uniform({3}, rng, f64) * 0.8 + 0.1;
  for (const auto& s : all_schedulers())
    for (DenoisingType type : {DenoisingType::ode, DenoisingType::sde, DenoisingType::x0}) {
      const auto constant = [](Tensor y) {
        return [y](const Tensor&, const Tensor&) { return y; };
      };
      const Tensor expected = denoiser(*s, {.x0 = constant(x0), .type = type})(x, t);
      const auto agrees = [&](DenoiserOptions options) {
        options.type = type;
        return largest_difference(denoiser(*s, std::move(options))(x, t), expected) < 1e-8;
      };
      CHECK(agrees({.score = constant(s->x0_to_score(x0, x, t))}));
      CHECK(agrees({.epsilon = constant(s->x0_to_epsilon(x0, x, t))}));
      CHECK(agrees({.v = constant(s->x0_to_v(x0, x, t))}));
      if (type == DenoisingType::x0) continue;
      const Tensor score = s->x0_to_score(x0, x, t);
      const double share = type == DenoisingType::ode ? 0.5 : 1;
      CHECK(largest_difference(s->drift(x, t) - share * s->diffusion(x, t) * score, expected) <
            1e-8);
    }
}

TEST_CASE("v becomes x0, and x0 becomes v, without a division by alpha") {
  const auto constant = [](const Tensor& y) {
    return [y](const Tensor&, const Tensor&) { return y; };
  };
  const Tensor x0 = from_vector(std::vector<float>{0.7f, -1.3f}, {1, 2}), t = ones({1});
  const FlowScheduler flow;
  const Tensor x = from_vector(std::vector<float>{2.5f, 0.25f}, {1, 2});
  // Where alpha is 0, v is -x0 whatever x is.
  CHECK(flow.x0_to_v(x0, x, t).to_vector<float>() == std::vector<float>{-0.7f, 1.3f});
  CHECK(denoiser(flow, {.v = constant(-x0), .type = DenoisingType::x0})(x, t).to_vector<float>() ==
        x0.to_vector<float>());
  // Where it is small, epsilon / alpha would lose digits.
  const VPNoiseScheduler vp;
  const TensorOptions f64{.dtype = DType::f64};
  const Tensor one = ones({1}, f64), exact = convert(x0, DType::f64), epsilon = ones({1, 2}, f64);
  const Tensor a = vp.alpha(one), b = vp.sigma(one);
  const Tensor noisy = convert(a * exact + b * epsilon, DType::f32);
  const Tensor v = convert(a * epsilon - b * exact, DType::f32);
  const Denoiser d = denoiser(vp, {.v = constant(v), .type = DenoisingType::x0});
  CHECK(largest_difference(d(noisy, t), x0) < 1e-6);
}

TEST_CASE("times of half precision are those of f32, rounded once") {
  for (const auto& s : all_schedulers())
    for (DType half : {DType::bf16, DType::f16}) {
      const Tensor times = s->timesteps(18, {.dtype = half});
      CHECK(times.dtype() == half);
      CHECK(times.to_vector<float>() == convert(s->timesteps(18), half).to_vector<float>());
    }
  const VPNoiseScheduler vp;
  const Predictor zero = [](const Tensor& x, const Tensor&) { return zeros_like(x); };
  const Tensor start = ones({2, 3}, {.dtype = DType::bf16});
  CHECK(sample(denoiser(vp, {.x0 = zero}), start, vp).dtype() == DType::bf16);
}

TEST_CASE("the f64 times of iDDPM are those of f64 arithmetic") {
  // Between two levels f32 and f64 round to different ones; the number is the reference's.
  const IDDPMNoiseScheduler s;
  CHECK(s.timesteps(27, {.dtype = DType::f64}).to_vector<double>()[13] == 0.9998449087142944);
  CHECK(s.timesteps(27).to_vector<double>()[13] == 1.0029664039611816);
}

TEST_CASE("processes are compared at their times only if they are two") {
  struct Counting final : EDMNoiseScheduler {
    Tensor sigma(const Tensor& t) const override {
      ++asked;
      return t;
    }
    mutable int asked = 0;
  };
  const Counting s;
  CHECK(same_levels(s, s, ones({2})));
  CHECK(s.asked == 0);
  // Both ends of a step are looked up at once.
  const Predictor zero = [](const Tensor& x, const Tensor&) { return zeros_like(x); };
  const Denoiser d = denoiser(s, {.x0 = zero, .type = DenoisingType::x0});
  (void)sample(d, ones({2, 3}), s, {.num_steps = 5, .solver = DDIMSolver{.scheduler = &s}});
  CHECK(s.asked == 5);
}

TEST_CASE("every schedule decreases to zero, and a noise level leads back to its time") {
  for (const auto& s : all_schedulers()) {
    const std::vector<double> times = s->timesteps(18).to_vector<double>();
    REQUIRE(times.size() == 19);
    for (size_t i = 1; i < times.size(); ++i) CHECK(times[i] < times[i - 1]);
    CHECK(times.back() == 0);
    const Tensor t = from_vector(std::vector<double>{0.3, 0.5, 0.8}, {3});
    CHECK(largest_difference(s->sigma_inv(s->sigma(t)), t) < 1e-6);
    CHECK(error_of([&] { (void)s->timesteps(1); }).ends_with("wants at least 2 steps, got 1"));
  }
}

TEST_CASE("a scheduler of one's own is one small class") {
  const CosineScheduler scheduler;
  Generator rng(3);
  const Tensor x0 = normal({2, 4}, rng), t = full({2}, 0.5);
  Generator same(9), again(9);
  const Tensor x = scheduler.add_noise(x0, t, same);
  const Tensor expected = x0 * std::cos(0.5) + normal({2, 4}, again) * std::sin(0.5);
  CHECK(largest_difference(x, expected) < 1e-6);
  CHECK(scheduler.diffusion(x, t).shape() == Shape{2, 1});
}

TEST_CASE("the levels of iDDPM are the reference's, to the bit") {
  const std::vector<float> u = iddpm_levels("test", 1000, 0.001, 0.008);
  CHECK(u[0] == 20291.174f);
  CHECK(u[999] == 0.0064316113f);
  CHECK(u[1000] == 0);
  const std::vector<float> times = IDDPMNoiseScheduler().timesteps(10).to_vector<float>();
  CHECK(times[0] == 80.20371f);
  CHECK(times[4] == doctest::Approx(1.191596));
  CHECK(times[9] == u[999]);
}

TEST_CASE("Student-t noise has heavy tails and one scale per sample") {
  const StudentTEDMNoiseScheduler scheduler({.nu = 5});
  constexpr int64_t kCount = 40000;
  Generator rng(4);
  NoiseSource noise(rng);
  const Tensor n = scheduler.init_latents({kCount, 2}, ones({kCount}), noise);
  CHECK(mean(square(n)).item() == doctest::Approx(5.0 / 3).epsilon(0.05).scale(0));
  // E[a^2 b^2] of independent numbers would be the variance squared, 2.8; here it is 8.3.
  const Tensor both = square(select(n, 1, 0)) * square(select(n, 1, 1));
  CHECK(mean(both).item() > 5);
}

TEST_CASE("Student-t noise of a sample does not depend on its batch") {
  const StudentTEDMNoiseScheduler scheduler;
  const std::vector<uint64_t> seeds = {5, 6, 7};
  NoiseSource all(seeds), one(std::vector<uint64_t>{6});
  const Tensor together = scheduler.init_latents({3, 4}, ones({3}), all);
  const Tensor alone = scheduler.init_latents({1, 4}, ones({1}), one);
  CHECK(select(together, 0, 1).to_vector<float>() == select(alone, 0, 0).to_vector<float>());
}

TEST_CASE("schedulers say which range they want") {
  CHECK(error_of([] { VENoiseScheduler({.sigma_min = 2, .sigma_max = 1}); }) ==
        "VENoiseScheduler: wants 0 < sigma_min < sigma_max, got 2 and 1");
  CHECK(error_of([] { IDDPMNoiseScheduler({.sigma_min = 0.0001, .sigma_max = 0.0002}); }) ==
        "IDDPMNoiseScheduler: none of the 1000 levels is between 1e-04 and 2e-04");
  CHECK(
      error_of([] { IDDPMNoiseScheduler({.M = 1}); }).starts_with("IDDPMNoiseScheduler: wants M"));
  CHECK(error_of([] { StudentTEDMNoiseScheduler({.nu = 2}); }) ==
        "StudentTEDMNoiseScheduler: nu must be > 2, got 2");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(error_of([] { StudentTEDMNoiseScheduler({.nu = kInfinity}); }) ==
        "StudentTEDMNoiseScheduler: nu must be finite; its limit is EDMNoiseScheduler");
  CHECK(error_of([] {
          Generator rng(1);
          (void)NoiseSource(rng).student_t({1, 2}, kInfinity);
        }) == "gamma: the shape must be finite and at least 1, got inf");
  CHECK(error_of([] {
          const VENoiseScheduler s;
          const Predictor wrong = [](const Tensor& x, const Tensor&) { return select(x, 0, 0); };
          (void)denoiser(s, {.x0 = wrong})(ones({2, 3}), ones({2}));
        }) == "denoiser: the predictor returned [3] for x of [2, 3]");
}

TEST_CASE("a scheduler with an SDE of its own gives the denoiser its drift and diffusion") {
  // Langevin noise beside EDM's process: more of both, and a drift that balances it for N(0, 1).
  class Langevin : public EDMNoiseScheduler {
   public:
    Tensor drift(const Tensor& x, const Tensor&) const override { return x * -3.0; }
    Tensor diffusion(const Tensor& x, const Tensor& t) const override {
      return EDMNoiseScheduler::diffusion(x, t) + 6.0;
    }
  };
  const Langevin s;
  Generator rng(4);
  const TensorOptions f64{.dtype = DType::f64};
  const Tensor x = normal({3, 2}, rng, f64), x0 = normal({3, 2}, rng, f64);
  const Tensor t = uniform({3}, rng, f64) + 0.5;
  const auto as = [](Tensor y) { return [y](const Tensor&, const Tensor&) { return y; }; };
  const Tensor score = s.x0_to_score(x0, x, t);
  for (const auto& [type, share] :
       {std::pair(DenoisingType::ode, 0.5), {DenoisingType::sde, 1.0}}) {
    const Tensor expected = x * -3.0 - (2.0 * per_sample(t, x) + 6.0) * share * score;
    for (DenoiserOptions options :
         {DenoiserOptions{.x0 = as(x0)}, DenoiserOptions{.score = as(score)},
          DenoiserOptions{.epsilon = as(s.score_to_epsilon(score, t))},
          DenoiserOptions{.v = as(s.score_to_v(score, x, t))}}) {
      options.type = type;
      CHECK(largest_difference(denoiser(s, options)(x, t), expected) < 1e-10);
    }
  }
}
