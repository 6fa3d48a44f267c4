// Noise schedulers, denoisers, solvers, losses and sampling.

#include <brume/diffusion/losses.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm_log_uniform.h>
#include <brume/diffusion/schedulers/iddpm.h>
#include <brume/diffusion/schedulers/student_t_edm.h>
#include <brume/diffusion/schedulers/ve.h>
#include <brume/diffusion/schedulers/vp.h>
#include <brume/diffusion/solvers/edm_stochastic.h>

#include "tests/conformance/diffusion_objects.h"
#include "tests/conformance/functions.h"
#include "tests/conformance/modules.h"
#include "tests/conformance/scope.h"

namespace brume::conformance {

SchedulerRef scheduler(Arguments& a, std::string_view name) {
  return a.at(name).object(name).as<SchedulerRef>();
}

diffusion::Predictor function_of(const Value* callable, const char* first, const char* second) {
  if (!callable) return {};
  return [f = *callable, first, second](const Tensor& x, const Tensor& t) {
    return flatten(invoke(f, {{first, x}, {second, t}})).at(0);
  };
}
std::function<Tensor(const Tensor&)> function_of(const Value* callable, const char* name) {
  if (!callable) return {};
  return [f = *callable, name](const Tensor& x) { return flatten(invoke(f, {{name, x}})).at(0); };
}

diffusion::NoiseSource& recorded_noise() {
  static thread_local diffusion::NoiseSource source(default_generator());
  return source;
}

diffusion::MSEDSMLossOptions prediction_options(Arguments& a) {
  diffusion::MSEDSMLossOptions options;
  const std::string type = a.text("prediction_type", "x0");
  check<Error>(type == "x0" || type == "score" || type == "epsilon", "prediction_type ", type);
  const Value* from_score = a.find("score_to_x0_fn");
  const Value* from_epsilon = a.find("epsilon_to_x0_fn");
  if (type == "x0") return options;
  options.prediction_type =
      type == "score" ? diffusion::PredictionType::score : diffusion::PredictionType::epsilon;
  if (const Value* f = type == "score" ? from_score : from_epsilon)
    options.to_x0 = [f = *f, type](const Tensor& y, const Tensor& x_t, const Tensor& t) {
      return flatten(invoke(f, {{type, y}, {"x_t", x_t}, {"t", t}})).at(0);
    };
  return options;
}

diffusion::MSEDSMLossOptions loss_options(Arguments& a) {
  diffusion::MSEDSMLossOptions options = prediction_options(a);
  const std::string how = a.text("reduction", "mean");
  check<Error>(how == "mean" || how == "sum" || how == "none", "reduction ", how);
  options.reduction = how == "mean"  ? Reduction::mean
                      : how == "sum" ? Reduction::sum
                                     : Reduction::none;
  return options;
}

namespace {

using Scheduler = diffusion::LinearGaussianNoiseScheduler;

const Scheduler& scheduler(const Object& self) { return *self.as<SchedulerRef>(); }

// What is made for numbers of a case: f32 on its device, unless the call says otherwise.
TensorOptions options(Arguments& a, Device device = kCpu) {
  a.ignore("device");
  return {.dtype = a.dtype("dtype", DType::f32), .device = device};
}

// Schedulers.

template <Tensor (Scheduler::*f)(const Tensor&) const>
Value of_time(const Object& self, Arguments& a) {
  return (scheduler(self).*f)(a.tensor("t"));
}
template <Tensor (Scheduler::*f)(const Tensor&, const Tensor&) const>
Value of_state(const Object& self, Arguments& a) {
  return (scheduler(self).*f)(a.tensor("x"), a.tensor("t"));
}
Value sigma_inverse(const Object& self, Arguments& a) {
  return scheduler(self).sigma_inv(a.tensor("sigma"));
}
Value loss_weight(const Object& self, Arguments& a) {
  return scheduler(self).loss_weight(a.tensor("t"));
}
Value timesteps(const Object& self, Arguments& a) {
  return scheduler(self).timesteps(a.integer("num_steps"), options(a));
}
Value sample_time(const Object& self, Arguments& a) {
  return scheduler(self).sample_time(a.integer("N"), default_generator(), options(a));
}
Value add_noise(const Object& self, Arguments& a) {
  return scheduler(self).add_noise(a.tensor("x0"), a.tensor("time"), default_generator());
}
Value init_latents(const Object& self, Arguments& a) {
  const Tensor tN = a.tensor("tN");
  Shape shape{tN.size(0)};
  for (const int64_t size : a.integers("spatial_shape")) shape.push_back(size);
  diffusion::NoiseSource noise(default_generator());
  return scheduler(self).init_latents(shape, tN, noise, options(a, tN.device()));
}

Value x0_to_score(const Object& self, Arguments& a) {
  return scheduler(self).x0_to_score(a.tensor("x0"), a.tensor("x_t"), a.tensor("t"));
}
Value score_to_x0(const Object& self, Arguments& a) {
  return scheduler(self).score_to_x0(a.tensor("score"), a.tensor("x_t"), a.tensor("t"));
}
Value epsilon_to_score(const Object& self, Arguments& a) {
  return scheduler(self).epsilon_to_score(a.tensor("epsilon"), a.tensor("t"));
}
Value score_to_epsilon(const Object& self, Arguments& a) {
  return scheduler(self).score_to_epsilon(a.tensor("score"), a.tensor("t"));
}
Value epsilon_to_x0(const Object& self, Arguments& a) {
  return scheduler(self).epsilon_to_x0(a.tensor("epsilon"), a.tensor("x_t"), a.tensor("t"));
}
Value x0_to_epsilon(const Object& self, Arguments& a) {
  return scheduler(self).x0_to_epsilon(a.tensor("x0"), a.tensor("x_t"), a.tensor("t"));
}

Value call_denoiser(const Object& self, Arguments& a) {
  return self.as<diffusion::Denoiser>()(a.tensor("x"), a.tensor("t"));
}
const Methods kDenoiser = {{"", call_denoiser}};

Value get_denoiser(const Object& self, Arguments& a) {
  const std::string type = a.text("denoising_type", "ode");
  check<Error>(type == "ode" || type == "sde", "get_denoiser: denoising_type ", type);
  return Object{diffusion::denoiser(scheduler(self),
                                    {.x0 = function_of(a.find("x0_predictor"), "x", "t"),
                                     .score = function_of(a.find("score_predictor"), "x", "t"),
                                     .epsilon = function_of(a.find("epsilon_predictor"), "x", "t"),
                                     .type = type == "ode" ? diffusion::DenoisingType::ode
                                                           : diffusion::DenoisingType::sde}),
                "a denoiser", &kDenoiser};
}

const Methods kScheduler = {{"sigma", of_time<&Scheduler::sigma>},
                            {"sigma_inv", sigma_inverse},
                            {"sigma_dot", of_time<&Scheduler::sigma_dot>},
                            {"alpha", of_time<&Scheduler::alpha>},
                            {"alpha_dot", of_time<&Scheduler::alpha_dot>},
                            {"drift", of_state<&Scheduler::drift>},
                            {"diffusion", of_state<&Scheduler::diffusion>},
                            {"loss_weight", loss_weight},
                            {"timesteps", timesteps},
                            {"sample_time", sample_time},
                            {"add_noise", add_noise},
                            {"init_latents", init_latents},
                            {"x0_to_score", x0_to_score},
                            {"score_to_x0", score_to_x0},
                            {"epsilon_to_score", epsilon_to_score},
                            {"score_to_epsilon", score_to_epsilon},
                            {"epsilon_to_x0", epsilon_to_x0},
                            {"x0_to_epsilon", x0_to_epsilon},
                            {"get_denoiser", get_denoiser}};

template <class S>
Value make_scheduler(Arguments& a) {
  auto config = nn::config_from_json<typename S::Config>(to_json(a.take_rest()), a.target());
  return Object{SchedulerRef(std::make_shared<S>(std::move(config))), a.target(), &kScheduler};
}

// Solvers.

template <class S>
S churning(Arguments& a) {
  S s;
  s.noise = &recorded_noise();
  s.S_churn = a.number("S_churn", s.S_churn);
  s.S_min = a.number("S_min", s.S_min);
  s.S_max = a.number("S_max", s.S_max);
  s.S_noise = a.number("S_noise", s.S_noise);
  s.num_steps = a.integer("num_steps", s.num_steps);
  s.sigma = function_of(a.find("sigma_fn"), "t");
  s.sigma_inv = function_of(a.find("sigma_inv_fn"), "sigma");
  s.diffusion = function_of(a.find("diffusion_fn"), "x", "t");
  if constexpr (requires { s.alpha; }) s.alpha = a.number("alpha", s.alpha);
  return s;
}

diffusion::Solver euler(Arguments&) { return diffusion::EulerSolver{}; }
diffusion::Solver heun(Arguments& a) {
  return diffusion::HeunSolver{.alpha = a.number("alpha", 1)};
}
diffusion::Solver stochastic_euler(Arguments& a) {
  return churning<diffusion::EDMStochasticEulerSolver>(a);
}
diffusion::Solver stochastic_heun(Arguments& a) {
  return churning<diffusion::EDMStochasticHeunSolver>(a);
}

// A solver as the reference has it: together with its denoiser.
struct BoundSolver {
  diffusion::Solver solver;
  diffusion::Denoiser denoiser;
};
Value step(const Object& self, Arguments& a) {
  const auto& s = self.as<BoundSolver>();
  return s.solver(s.denoiser, a.tensor("x"), a.tensor("t_cur"), a.tensor("t_next"));
}
const Methods kSolver = {{"step", step}};

template <diffusion::Solver (*make)(Arguments&)>
Value make_solver(Arguments& a) {
  return Object{BoundSolver{make(a), function_of(&a.at("denoiser"), "x", "t")}, a.target(),
                &kSolver};
}

// The name of a solver with its options, or a solver.
diffusion::Solver solver(Arguments& a) {
  const Value* given = a.find("solver");
  if (given && given->get_if<Object>()) return given->object("solver").as<BoundSolver>().solver;
  const std::string name = a.text("solver", "heun");
  Arguments inner(cat("solver ", name),
                  a.has("solver_options") ? a.at("solver_options").map("solver_options") : Map());
  diffusion::Solver made = [&]() -> diffusion::Solver {
    if (name == "euler") return euler(inner);
    if (name == "heun") return heun(inner);
    if (name == "edm_stochastic_euler") return stochastic_euler(inner);
    if (name == "edm_stochastic_heun") return stochastic_heun(inner);
    throw UnknownTarget(cat("solver ", name));
  }();
  inner.finish();
  return made;
}

Value sample(Arguments& a) {
  diffusion::SampleOptions options;
  options.num_steps = a.integer("num_steps");
  options.solver = solver(a);
  options.time_steps = a.optional_tensor("time_steps");
  options.check_finite = false;  // the reference carries NaN to the end
  const auto denoiser = function_of(&a.at("denoiser"), "x", "t");
  const SchedulerRef s = scheduler(a, "noise_scheduler");
  const Tensor xN = a.tensor("xN");
  if (a.has("time_eval"))
    return diffusion::sample_at(a.integers("time_eval"), denoiser, xN, *s, options);
  return diffusion::sample(denoiser, xN, *s, options);
}

// Losses.

template <class Loss>
Value call_loss(const Object& self, Arguments& a) {
  const Loss& loss = self.as<std::shared_ptr<HeldLoss<Loss>>>()->loss;
  const diffusion::Condition c = condition(a);
  const Tensor x0 = a.tensor("x0"), t = a.optional_tensor("t");
  if constexpr (std::is_same_v<Loss, diffusion::WeightedMSEDSMLoss>) {
    return loss(x0, a.tensor("weight"), default_generator(), c, t);
  } else {
    return loss(x0, default_generator(), c, t);
  }
}

template <class Loss>
Value make_loss(Arguments& a) {
  static const Methods methods = {{"", call_loss<Loss>}};
  const SchedulerRef s = scheduler(a, "noise_scheduler");
  const diffusion::AnyModel model(module_of(a.at("model")));
  return Object{
      std::make_shared<HeldLoss<Loss>>(HeldLoss<Loss>{s, Loss(model, *s, loss_options(a))}),
      a.target(), &methods};
}

}  // namespace

void add_diffusion(Functions& t) {
  t["EDMNoiseScheduler"] = make_scheduler<diffusion::EDMNoiseScheduler>;
  t["EDMLogUniformNoiseScheduler"] = make_scheduler<diffusion::EDMLogUniformNoiseScheduler>;
  t["IDDPMNoiseScheduler"] = make_scheduler<diffusion::IDDPMNoiseScheduler>;
  t["StudentTEDMNoiseScheduler"] = make_scheduler<diffusion::StudentTEDMNoiseScheduler>;
  t["VENoiseScheduler"] = make_scheduler<diffusion::VENoiseScheduler>;
  t["VPNoiseScheduler"] = make_scheduler<diffusion::VPNoiseScheduler>;
  t["EulerSolver"] = make_solver<euler>;
  t["HeunSolver"] = make_solver<heun>;
  t["EDMStochasticEulerSolver"] = make_solver<stochastic_euler>;
  t["EDMStochasticHeunSolver"] = make_solver<stochastic_heun>;
  t["sample"] = sample;
  t["MSEDSMLoss"] = make_loss<diffusion::MSEDSMLoss>;
  t["WeightedMSEDSMLoss"] = make_loss<diffusion::WeightedMSEDSMLoss>;
}

}  // namespace brume::conformance
