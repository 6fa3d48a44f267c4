#pragma once
// Recording: how an operation tells the engine what its gradient is.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include <brume/autograd/mode.h>
#include <brume/core/tensor.h>

namespace brume {

struct Node;

using Tensors = std::vector<Tensor>;
/// One gradient per input, in order; an undefined tensor means zero (or not wanted).
using Grads = std::vector<Tensor>;

/// Which inputs want a gradient. A closure may skip the others.
class Wanted {
 public:
  /// `beyond`: of the inputs behind the 64th.
  explicit Wanted(uint64_t bits, std::span<const uint8_t> beyond = {})
      : bits_(bits), beyond_(beyond) {}
  bool operator[](size_t input) const {
    return input < 64 ? (bits_ >> input & 1U) != 0 : beyond_[input - 64] != 0;
  }

 private:
  uint64_t bits_;
  std::span<const uint8_t> beyond_;
};

/// An input kept for backward: keeps its link to the graph, and its version.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& x);
  /// @throws GradError if the value was written to since
  Tensor get() const;

 private:
  Tensor x_;
  uint32_t version_ = 0;
};

/// A result kept for backward. It holds storage and shape only, never its own node (that would be
/// a cycle); the node is given back while the closure runs.
class SavedResult {
 public:
  SavedResult() = default;
  explicit SavedResult(const Tensor& y, int index = 0);
  Tensor get() const;

 private:
  Tensor y_;  // an alias without a gradient record
  uint32_t version_ = 0;
  int index_ = 0;
};

/// g: one cotangent per result, undefined where nobody used that result.
using Backward = std::function<Grads(const Tensors& g, Wanted wanted)>;

/// Whether a gradient would be recorded for these inputs now.
bool needs_grad(std::span<const Tensor> inputs);
inline bool needs_grad(std::initializer_list<Tensor> inputs) {
  return needs_grad(std::span(inputs.begin(), inputs.size()));
}

/// Links results to inputs. Returns the results untouched when gradients are off or no input wants
/// one: `backward` is then never stored. Gradients of inputs that were broadcast are summed back to
/// the input's shape here, so no operation repeats that.
Tensors record_all(const char* op, Tensors results, std::span<const Tensor> inputs,
                   Backward backward);

namespace detail {
Tensor record_one(const char* op, Tensor y, std::span<const Tensor> inputs, Backward backward);
}

/// One result. `backward`: (g) or (g, wanted) -> Grads.
template <class F>
Tensor record(const char* op, Tensor y, std::initializer_list<Tensor> inputs, F&& backward) {
  if (!needs_grad(inputs)) return y;
  return detail::record_one(op, std::move(y), std::span(inputs.begin(), inputs.size()),
                            [f = std::forward<F>(backward)](const Tensors& g, Wanted wanted) {
                              if constexpr (std::is_invocable_v<const F&, const Tensor&, Wanted>)
                                return f(g[0], wanted);
                              else
                                return f(g[0]);
                            });
}

/// Several results. `backward`: (Tensors) or (Tensors, wanted) -> Grads.
template <class F>
Tensors record(const char* op, Tensors results, std::initializer_list<Tensor> inputs,
               F&& backward) {
  if (!needs_grad(inputs)) return results;
  return record_all(op, std::move(results), std::span(inputs.begin(), inputs.size()),
                    [f = std::forward<F>(backward)](const Tensors& g, Wanted wanted) {
                      if constexpr (std::is_invocable_v<const F&, const Tensors&, Wanted>)
                        return f(g, wanted);
                      else
                        return f(g);
                    });
}

// A tensor's part in gradients.

/// Whether gradients flow to x: a leaf that asks for one, or a recorded result.
bool requires_grad(const Tensor& x);
/// Makes a leaf ask for a gradient, or stop asking. @throws GradError on a recorded result;
/// DTypeError on a non-floating dtype. Returns x.
Tensor set_requires_grad(Tensor x, bool on = true);
/// What backward() has added up for a leaf; undefined before.
Tensor grad_of(const Tensor& leaf);
void set_grad(const Tensor& leaf, Tensor g);
/// The same values outside the graph (shares storage).
Tensor detach(const Tensor& x);
/// Live nodes of this process, for leak tests.
int64_t live_nodes();

}  // namespace brume
