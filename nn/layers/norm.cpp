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

// Of min(wanted, channels / at_least) groups, rounded up or down.
int64_t group_count(int64_t channels, int64_t wanted, int64_t at_least, bool round_up) {
  check(channels > 0 && wanted > 0 && at_least > 0,
        "GroupNorm: num_channels, num_groups and min_channels_per_group must be positive, got ",
        channels, ", ", wanted, ", ", at_least);
  const int64_t most = round_up ? (channels - 1) / at_least + 1 : channels / at_least;
  check(most > 0, "GroupNorm: num_channels must be at least min_channels_per_group, ", at_least,
        ", got ", channels);
  return std::min(wanted, most);
}

}  // namespace

GroupNorm::GroupNorm(const Config& c)
    : GroupNorm(c, group_count(c.num_channels, c.num_groups, c.min_channels_per_group, true)) {}

GroupNorm::GroupNorm(const Config& c, int64_t groups)
    : groups_(groups), eps_(c.eps), always_biased_(c.use_apex_gn) {
  check(c.num_channels % groups_ == 0, "GroupNorm: num_channels ", c.num_channels,
        " is not a multiple of its ", groups_, " groups; multiples of ", c.min_channels_per_group,
        " up to ", c.min_channels_per_group * c.num_groups, " and of ", c.num_groups,
        " beyond are (a UNet's are model_channels times each channel_mult, and sums of these)");
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

GroupNorm3D::GroupNorm3D(const Config& c)
    : GroupNorm({.num_channels = c.num_channels, .eps = c.eps, .act = c.act},
                group_count(c.num_channels, c.num_groups, c.min_channels_per_group, false)) {}

}  // namespace brume::nn
