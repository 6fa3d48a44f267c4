#include <brume/autograd/checkpoint.h>

#include <brume/autograd/graph.h>

namespace brume {

Tensor checkpoint(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                  Generator* rng) {
  if (!grad_enabled()) return f(inputs);
  const Generator before = rng ? *rng : Generator{};
  Tensor y;
  {
    const NoGrad no_grad;
    y = f(inputs);
  }
  // f may hand back one of its inputs; the node needs a result of its own.
  y = detach(y);
  std::vector<Saved> saved(inputs.begin(), inputs.end());
  // Recorded even if no input wants a gradient: parameters that f captures may.
  attach_node(
      "checkpoint", std::span(&y, 1), inputs,
      [f, saved, rng, before](const Tensors& g, Wanted) {
        Tensors fresh;
        for (const Saved& x : saved) {
          Tensor leaf = x.get();
          if (leaf.defined()) {
            const bool wants = requires_grad(leaf);
            leaf = detach(leaf);
            if (wants) set_requires_grad(leaf);
          }
          fresh.push_back(leaf);
        }
        Generator now;
        if (rng) now = std::exchange(*rng, before);
        Tensor again;
        {
          const EnableGrad enable;
          again = f(fresh);
        }
        if (rng) *rng = now;
        return continue_backward({again}, {g[0]}, fresh);
      },
      /*recomputes=*/true);
  return y;
}

}  // namespace brume
