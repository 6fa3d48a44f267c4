// The older preconditioners, losses and samplers.

#include <algorithm>

#include <brume/diffusion/legacy/corrdiff_losses.h>
#include <brume/diffusion/legacy/losses.h>
#include <brume/diffusion/legacy/preconditioners.h>
#include <brume/diffusion/legacy/samplers.h>

#include "tests/conformance/diffusion_objects.h"
#include "tests/conformance/functions.h"
#include "tests/conformance/modules.h"

namespace brume::conformance {
namespace {

// The reference's arguments for the network, which are named entries of our condition.
diffusion::Condition network_inputs(Arguments& a) {
  diffusion::Condition c;
  for (const char* name :
       {"condition", "class_labels", "augment_labels", "img_lr", "lead_time_label"})
    c = c.with(name, a.optional_tensor(name));
  return c.with("class_labels", a.optional_tensor("labels"));  // the losses' word
}

Value call_network(const Object& self, Arguments& a) {
  a.ignore("force_fp32");
  return diffusion::AnyModel(module_of(self))(a.tensor("x"), a.tensor("sigma"), network_inputs(a));
}

template <class M>
const M& legacy_part(const Object& self) {
  return dynamic_cast<const M&>(*module_of(self));
}
Value round_sigma(const Object& self, Arguments& a) {
  return legacy_part<diffusion::NoiseLevels>(self).round_sigma(a.tensor("sigma"));
}
Value vp_sigma(const Object& self, Arguments& a) {
  return legacy_part<diffusion::VPPrecond>(self).sigma(a.tensor("t"));
}
Value vp_sigma_inv(const Object& self, Arguments& a) {
  return legacy_part<diffusion::VPPrecond>(self).sigma_inv(a.tensor("sigma"));
}
Value iddpm_alpha_bar(const Object& self, Arguments& a) {
  return legacy_part<diffusion::iDDPMPrecond>(self).alpha_bar(a.tensor("j"));
}

// Losses: made from numbers, called with a network and images.

nn::OneOrMany<double> sigma_data(Arguments& a, double otherwise) {
  if (!a.is_tensor("sigma_data")) return a.number("sigma_data", otherwise);
  return a.tensor("sigma_data").to_vector<double>();
}
diffusion::EDMLossOptions edm_options(Arguments& a) {
  return {.P_mean = a.number("P_mean", -1.2),
          .P_std = a.number("P_std", 1.2),
          .sigma_data = sigma_data(a, 0.5)};
}
diffusion::EDMLoss edm(Arguments& a) { return diffusion::EDMLoss(edm_options(a)); }
diffusion::EDMLossSR edm_sr(Arguments& a) { return diffusion::EDMLossSR(edm_options(a)); }
diffusion::EDMLossLogUniform edm_log_uniform(Arguments& a) {
  return diffusion::EDMLossLogUniform({.sigma_min = a.number("sigma_min", 0.02),
                                       .sigma_max = a.number("sigma_max", 1000),
                                       .sigma_data = sigma_data(a, 0.5)});
}
diffusion::VPLoss vp(Arguments& a) {
  return diffusion::VPLoss({.beta_d = a.number("beta_d", 19.9),
                            .beta_min = a.number("beta_min", 0.1),
                            .epsilon_t = a.number("epsilon_t", 1e-5)});
}
diffusion::VELoss ve(Arguments& a) {
  return diffusion::VELoss(
      {.sigma_min = a.number("sigma_min", 0.02), .sigma_max = a.number("sigma_max", 100)});
}
diffusion::VELoss_dfsr dfsr(Arguments& a) {
  return diffusion::VELoss_dfsr(
      {.beta_start = a.number("beta_start", 1e-4),
       .beta_end = a.number("beta_end", 0.02),
       .num_diffusion_timesteps = a.integer("num_diffusion_timesteps", 1000)});
}

diffusion::RegressionLoss regression(Arguments&) { return {}; }
diffusion::RegressionLossCE regression_ce(Arguments& a) {
  return diffusion::RegressionLossCE(a.integers("prob_channels", {4, 5, 6, 7, 8}));
}
diffusion::ResidualLoss residual(Arguments& a) {
  const diffusion::AnyModel regression_net(module_of(a.at("regression_net")));
  return diffusion::ResidualLoss(regression_net,
                                 {.P_mean = a.number("P_mean", 0),
                                  .P_std = a.number("P_std", 1.2),
                                  .sigma_data = a.number("sigma_data", 0.5),
                                  .hr_mean_conditioning = a.flag("hr_mean_conditioning", false)});
}

template <class P>
const P* optional_patching(Arguments& a) {
  if (!a.has("patching")) return nullptr;
  const P* found = dynamic_cast<const P*>(patching_of(a.at("patching").object("patching")).get());
  check<Error>(found, a.target(), ": patching is of another kind");
  return found;  // the case holds it
}

template <class Loss>
Value call_legacy_loss(const Object& self, Arguments& a) {
  const Loss& loss = self.as<Loss>();
  const diffusion::AnyModel net(module_of(a.at("net")));
  if constexpr (std::is_same_v<Loss, diffusion::ResidualLoss>) {
    const Tensor clean = a.tensor("img_clean"), low = a.tensor("img_lr");
    const auto* patching = optional_patching<diffusion::RandomPatching2D>(a);
    return loss(net, clean, low, default_generator(),
                {.condition = network_inputs(a).without("img_lr"), .patching = patching});
  } else if constexpr (std::is_same_v<Loss, diffusion::RegressionLoss> ||
                       std::is_same_v<Loss, diffusion::RegressionLossCE>) {
    const Tensor clean = a.tensor("img_clean"), low = a.tensor("img_lr");
    return loss(net, clean, low, {.condition = network_inputs(a).without("img_lr")});
  } else if constexpr (std::is_same_v<Loss, diffusion::EDMLossSR>) {
    const Tensor clean = a.tensor("img_clean"), low = a.tensor("img_lr");
    return loss(net, clean, low, default_generator(),
                {.condition = network_inputs(a).without("img_lr")});
  } else if constexpr (std::is_same_v<Loss, diffusion::VELoss_dfsr>) {
    return loss(net, a.tensor("images"), default_generator(), network_inputs(a));
  } else {
    return loss(net, a.tensor("images"), default_generator(), {.condition = network_inputs(a)});
  }
}

template <auto make>
Value make_loss(Arguments& a) {
  using Loss = decltype(make(a));
  static const Methods methods = {{"", call_legacy_loss<Loss>}};
  return Object{make(a), a.target(), &methods};
}

// Samplers.

diffusion::LegacySamplerInputs sampler_inputs(Arguments& a) {
  diffusion::LegacySamplerInputs in;
  in.img_lr = a.optional_tensor("img_lr");
  in.mean_hr = a.optional_tensor("mean_hr");
  in.condition = network_inputs(a).without("img_lr");
  in.patching = optional_patching<diffusion::GridPatching2D>(a);
  return in;
}
template <class Options>
void read_churn(Arguments& a, Options& o) {
  o.num_steps = a.integer("num_steps", o.num_steps);
  o.rho = a.number("rho", o.rho);
  o.S_churn = a.number("S_churn", o.S_churn);
  o.S_min = a.number("S_min", o.S_min);
  o.S_max = a.number("S_max", o.S_max);
  o.S_noise = a.number("S_noise", o.S_noise);
}
template <class E>
E choice(Arguments& a, std::string_view name, std::string_view otherwise,
         std::initializer_list<std::string_view> names) {
  const std::string given = a.text(name, otherwise);
  const auto found = std::find(names.begin(), names.end(), given);
  check<Error>(found != names.end(), a.target(), ": ", name, ' ', given);
  return static_cast<E>(found - names.begin());
}

Value stochastic_sampler(Arguments& a) {
  diffusion::StochasticSamplerOptions o;
  read_churn(a, o);
  o.sigma_min = a.number("sigma_min", o.sigma_min);
  o.sigma_max = a.number("sigma_max", o.sigma_max);
  const diffusion::AnyModel net(module_of(a.at("net")));
  return diffusion::stochastic_sampler(net, a.tensor("latents"), sampler_inputs(a),
                                       recorded_noise(), o);
}
Value deterministic_sampler(Arguments& a) {
  diffusion::DeterministicSamplerOptions o;
  read_churn(a, o);
  if (a.has("sigma_min")) o.sigma_min = a.number("sigma_min");
  if (a.has("sigma_max")) o.sigma_max = a.number("sigma_max");
  o.solver = choice<diffusion::LegacySolver>(a, "solver", "heun", {"euler", "heun"});
  o.discretization =
      choice<diffusion::Discretization>(a, "discretization", "edm", {"vp", "ve", "iddpm", "edm"});
  o.schedule = choice<diffusion::Schedule>(a, "schedule", "linear", {"vp", "ve", "linear"});
  o.scaling = choice<diffusion::Scaling>(a, "scaling", "none", {"vp", "none"});
  o.epsilon_s = a.number("epsilon_s", o.epsilon_s);
  o.C_1 = a.number("C_1", o.C_1);
  o.C_2 = a.number("C_2", o.C_2);
  o.M = a.integer("M", o.M);
  o.alpha = a.number("alpha", o.alpha);
  const diffusion::AnyModel net(module_of(a.at("net")));
  return diffusion::deterministic_sampler(net, a.tensor("latents"), sampler_inputs(a),
                                          recorded_noise(), o);
}

}  // namespace

const Methods kLegacyNetwork = {{"", call_network},
                                {"round_sigma", round_sigma},
                                {"sigma", vp_sigma},
                                {"sigma_inv", vp_sigma_inv},
                                {"alpha_bar", iddpm_alpha_bar}};

void add_legacy(Functions& t) {
  t["EDMLoss"] = make_loss<edm>;
  t["EDMLossLogUniform"] = make_loss<edm_log_uniform>;
  t["EDMLossSR"] = make_loss<edm_sr>;
  t["RegressionLoss"] = make_loss<regression>;
  t["RegressionLossCE"] = make_loss<regression_ce>;
  t["ResidualLoss"] = make_loss<residual>;
  t["VELoss"] = make_loss<ve>;
  t["VELoss_dfsr"] = make_loss<dfsr>;
  t["VPLoss"] = make_loss<vp>;
  t["deterministic_sampler"] = deterministic_sampler;
  t["stochastic_sampler"] = stochastic_sampler;
}

}  // namespace brume::conformance
