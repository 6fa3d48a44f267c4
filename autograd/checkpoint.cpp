#include <brume/autograd/checkpoint.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <brume/autograd/backward.h>
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

// Recorded results as leaves while this lives: what is made of them ends there.
class AsLeaves {
 public:
  explicit AsLeaves(std::span<const Tensor> tensors) {
    for (const Tensor& x : tensors) {
      Variable& v = *variable(x);
      if (!v.node) continue;
      v.requires_grad = true;
      recorded_.emplace_back(x, std::exchange(v.node, {}));
    }
  }
  ~AsLeaves() {
    for (auto& [x, node] : recorded_) {
      Variable& v = *variable(x);
      v.requires_grad = false;
      v.node = std::move(node);
    }
  }
  AsLeaves(const AsLeaves&) = delete;
  AsLeaves& operator=(const AsLeaves&) = delete;

 private:
  std::vector<std::pair<Tensor, Counted<Node>>> recorded_;
};

// f is given leaves of its own in both runs: so one that it captures as well is told apart.
Tensors fresh_leaves(std::span<const Tensor> inputs) {
  Tensors leaves;
  for (const Tensor& x : inputs) {
    leaves.push_back(x.defined() ? detach(x) : x);
    if (requires_grad(x)) set_requires_grad(leaves.back());
  }
  return leaves;
}

}  // namespace

Tensor checkpoint(const std::function<Tensor(const Tensors&)>& f, const Tensors& inputs,
                  const std::function<Generator&()>& rng) {
  if (!grad_enabled()) return f(inputs);
  const Generator before = rng ? rng() : Generator{};
  Tensor y;
  Tensors all = inputs;
  {
    const NoGrad no_grad;
    Captures captures;
    y = f(fresh_leaves(inputs));
    captures.note({&y, 1});  // f may hand back what it captures, or an input
    y = detach(y);
    // Leaves that nobody else holds are f's own.
    for (const Tensor& x : captures.tensors())
      if (x.handle()->use_count() > 1) all.push_back(x);
  }
  const std::vector<Saved> saved(all.begin(), all.end());
  return record_all(
      "checkpoint", {y}, all,
      [f, saved, count = inputs.size(), rng, before](const Tensors& g, Wanted wanted) {
        check<GradError>(!grad_enabled(),
                         "checkpoint: no second derivative; call the function without "
                         "checkpointing");
        Tensors x;
        for (const Saved& value : saved) x.push_back(value.get());
        const AsLeaves as_leaves(std::span<const Tensor>(x).subspan(count));
        const Tensors fresh = fresh_leaves(std::span<const Tensor>(x).first(count));
        std::copy(fresh.begin(), fresh.end(), x.begin());
        Tensor again;
        {
          const EnableGrad enable;
          const Captures captures;
          std::optional<Rewound> rewound;
          if (rng) rewound.emplace(rng(), before);
          again = f(fresh);
          for (const Tensor& other : captures.tensors())
            if (const Counted<Node>& node = variable(other)->node)
              throw GradError(cat("checkpoint: f uses a result of ", node->op,
                                  " that it did not use in its first run; it must do the same"));
        }
        check<GradError>(again.shape() == g[0].shape() && again.dtype() == g[0].dtype(),
                         "checkpoint: f returned ", again.dtype(), " ", again.shape(), ", but ",
                         g[0].dtype(), " ", g[0].shape(), " in its first run");
        Tensors asked;
        std::vector<size_t> places;
        for (size_t k = 0; k < x.size(); ++k) {
          if (!wanted[k]) continue;
          asked.push_back(x[k]);
          places.push_back(k);
        }
        const Tensors gradients = grad({again}, asked, {g[0]});
        Grads result(x.size());
        for (size_t i = 0; i < places.size(); ++i) result[places[i]] = gradients[i];
        return result;
      })[0];
}

}  // namespace brume
