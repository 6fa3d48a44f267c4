#pragma once
// Recompute in backward instead of storing.

#include <functional>

#include <brume/autograd/node.h>
#include <brume/core/random.h>

namespace brume {

/// f(inputs) without recording; backward runs f again, recorded, and then `rng` is in the state of
/// the first run. What f captures gets its gradient too, be it a parameter or a recorded result.
/// f must compute the same both times: a module in it stays in the mode, training or not, that it
/// was in, and what f captures is not replaced.
/// `rng` names the generator that f draws from, if it does: asked in each run, on the thread of
/// that run, because a module's generator may have been replaced in between.
/// @throws GradError in backward for a second derivative, or if f does something else than before
Tensor checkpoint(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                  const std::function<Generator&()>& rng = {});

}  // namespace brume
