#pragma once

#include <string_view>

#include <brume/autograd/ops/pointwise.h>

namespace brume::nn {

/// A pointwise function without parameters; null is the identity.
using Activation = Tensor (*)(Tensor);

}  // namespace brume::nn
