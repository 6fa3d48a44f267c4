#include <brume/nn/layers/norm.h>

#include <algorithm>

#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// The reference's norm takes another slope than its activations by name.
Activation activation_of(const std::string& name) {
  if (name == "leaky_relu") return [](Tensor x) { return leaky_relu(std::move(x), 0.01); };
  return activation_by_name(name);
}

Tensor per_sample(const Tensor& terms, const Tensor& x) {
  return terms.defined() ? expand(terms, {x.size(0), -1}) : terms;
}

}  // namespace

GroupNorm::GroupNorm(const Config& c) : eps_(c.eps), always_biased_(c.use_apex_gn) {
  check(c.num_channels > 0 && c.num_groups > 0 && c.min_channels_per_group > 0,
        "GroupNorm: num_channels, num_groups and min_channels_per_group must be positive, got ",
        c.num_channels, ", ", c.num_groups, ", ", c.min_channels_per_group);
  groups_ = std::min(c.num_groups, (c.num_channels - 1) / c.min_channels_per_group + 1);
  check(c.num_channels % groups_ == 0, "GroupNorm: num_channels ", c.num_channels,
        " is not a multiple of its ", groups_, " groups");
  if (c.act) act_ = activation_of(*c.act);
  weight = param("weight", {c.num_channels}, Init::constant(1));
  bias = param("bias", {c.num_channels}, Init::constant(0));
}

Tensor GroupNorm::operator()(const Tensor& x, const Behind& behind) const {
  const Activation act = behind.act.value_or(act_);
  const bool fused = act == static_cast<Activation>(silu);
  Tensor y = group_norm(x, as_dtype(weight, x), as_dtype(bias, x), groups_,
                        {.eps = eps_,
                         .unbiased = !training() && !always_biased_,
                         .activation = fused ? NormActivation::silu : NormActivation::none,
                         .scale = per_sample(behind.scale, x),
                         .shift = per_sample(behind.shift, x)});
  return act && !fused ? act(std::move(y)) : y;
}

}  // namespace brume::nn
