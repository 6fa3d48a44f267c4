#include <brume/autograd/checkpoint.h>

#include <optional>
#include <utility>

#include <brume/autograd/graph.h>

namespace brume {
namespace {

// A generator in an earlier state while this lives.
class Rewound {
 public:
  Rewound(Generator& rng, const Generator& state) : rng_(rng), now_(std::exchange(rng, state)) {}
  ~Rewound() { rng_ = std::move(now_); }
  Rewound(const Rewound&) = delete;
  Rewound& operator=(const Rewound&) = delete;

 private:
  Generator& rng_;
  Generator now_;
};

}  // namespace

Tensor checkpoint(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                  const std::function<Generator&()>& rng) {
  if (!grad_enabled()) return f(inputs);
  const Generator before = rng ? rng() : Generator{};
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
        Tensor again;
        {
          const EnableGrad enable;
          std::optional<Rewound> rewound;
          if (rng) rewound.emplace(rng(), before);
          again = f(fresh);
        }
        return continue_backward({again}, {g[0]}, fresh);
      },
      /*recomputes=*/true);
  return y;
}

}  // namespace brume
