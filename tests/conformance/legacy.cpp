// The older preconditioners and losses.

#include <brume/diffusion/legacy/losses.h>
#include <brume/diffusion/legacy/preconditioners.h>

#include "tests/conformance/functions.h"
#include "tests/conformance/modules.h"

namespace brume::conformance {
namespace {

// The reference's arguments for the network, which are named entries of our condition.
diffusion::Condition network_inputs(Arguments& a) {
  diffusion::Condition c;
  for (const char* name : {"condition", "class_labels", "augment_labels", "img_lr"})
    c = c.with(name, a.optional_tensor(name));
  return c.with("class_labels", a.optional_tensor("labels"));  // the losses' word
}

Value call_network(const Object& self, Arguments& a) {
  a.ignore("force_fp32");
  return diffusion::AnyModel(module_of(self))(a.tensor("x"), a.tensor("sigma"), network_inputs(a));
}

template <class M>
const M& of(const Object& self) {
  return dynamic_cast<const M&>(*module_of(self));
}
Value round_sigma(const Object& self, Arguments& a) {
  return of<diffusion::NoiseLevels>(self).round_sigma(a.tensor("sigma"));
}
Value vp_sigma(const Object& self, Arguments& a) {
  return of<diffusion::VPPrecond>(self).sigma(a.tensor("t"));
}
Value vp_sigma_inv(const Object& self, Arguments& a) {
  return of<diffusion::VPPrecond>(self).sigma_inv(a.tensor("sigma"));
}
Value iddpm_alpha_bar(const Object& self, Arguments& a) {
  return of<diffusion::iDDPMPrecond>(self).alpha_bar(a.tensor("j"));
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

template <class Loss>
Value call_loss(const Object& self, Arguments& a) {
  const Loss& loss = self.as<Loss>();
  const diffusion::AnyModel net(module_of(a.at("net")));
  if constexpr (std::is_same_v<Loss, diffusion::EDMLossSR>) {
    const Tensor clean = a.tensor("img_clean"), low = a.tensor("img_lr");
    return loss(net, clean, low, default_generator(), {.condition = network_inputs(a)});
  } else if constexpr (std::is_same_v<Loss, diffusion::VELoss_dfsr>) {
    return loss(net, a.tensor("images"), default_generator(), network_inputs(a));
  } else {
    return loss(net, a.tensor("images"), default_generator(), {.condition = network_inputs(a)});
  }
}

template <auto make>
Value make_loss(Arguments& a) {
  using Loss = decltype(make(a));
  static const Methods methods = {{"", call_loss<Loss>}};
  return Object{make(a), a.target(), &methods};
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
  t["VELoss"] = make_loss<ve>;
  t["VELoss_dfsr"] = make_loss<dfsr>;
  t["VPLoss"] = make_loss<vp>;
}

}  // namespace brume::conformance
