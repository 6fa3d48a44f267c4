#pragma once

#include <string>
#include <string_view>

#include <brume/autograd/ops/pointwise.h>
#include <brume/nn/module.h>

namespace brume::nn {

/// A pointwise function without parameters; null is the identity.
using Activation = Tensor (*)(Tensor);

/// The activation that the reference knows under a name, in any case; its leaky_relu has slope 0.1.
/// @throws Error listing the known names
Activation activation_by_name(std::string_view name);

struct NamedActivationConfig {
  std::string name = "identity";
  template <class V>
  void fields(V& v) {
    v("name", name, required);
  }
};

/// Any activation of the reference, also those with something of their own: prelu (`weight`), stan
/// (`beta`; the last axis must be 1), capped_gelu and cappek_leaky_relu (`cap`).
class NamedActivation : public Module {
 public:
  using Config = NamedActivationConfig;
  explicit NamedActivation(const Config& c);
  Tensor operator()(Tensor x) const;

 private:
  Activation function_ = nullptr;
  Tensor weight_, beta_, cap_;  // at most one is defined
};

}  // namespace brume::nn
