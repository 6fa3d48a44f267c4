#pragma once
// Recompute in backward instead of storing.

#include <functional>

#include <brume/autograd/node.h>
#include <brume/core/random.h>

namespace brume {

/// f(inputs) without recording; backward runs f again, recorded, from the same generator state.
/// Parameters that f captures get their gradients too.
Tensor checkpoint(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                  Generator* rng = nullptr);

}  // namespace brume
