#pragma once
// Recompute in backward instead of storing.

#include <functional>

#include <brume/autograd/node.h>
#include <brume/core/random.h>

namespace brume {

/// f(inputs) without recording; backward runs f again, recorded, and then `rng` is in the state of
/// the first run. Parameters that f captures get their gradients too.
/// `rng` names the generator that f draws from, if it does: asked in each run, on the thread of
/// that run, because a module's generator may have been replaced in between.
Tensor checkpoint(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                  const std::function<Generator&()>& rng = {});

}  // namespace brume
