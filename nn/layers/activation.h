#pragma once

#include <string_view>

#include <brume/autograd/ops/pointwise.h>

namespace brume::nn {

/// A pointwise function without parameters; null is the identity.
using Activation = Tensor (*)(Tensor);

/// The activation that the reference knows under a name, in any case; its leaky_relu has slope 0.1.
/// @throws Error listing the known names
Activation activation_by_name(std::string_view name);

}  // namespace brume::nn
