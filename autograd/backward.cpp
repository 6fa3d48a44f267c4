#include <brume/autograd/backward.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <unordered_map>

#include <brume/autograd/graph.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

namespace brume {
namespace {

thread_local Node* node_that_runs = nullptr;
std::atomic<uint64_t> next_pass{1};

// Sums the axes that broadcasting had stretched.
Tensor sum_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  const int extra = g.rank() - shape.rank();
  std::vector<int64_t> axes;
  for (int i = 0; i < g.rank(); ++i)
    if (i < extra || (shape[i - extra] == 1 && g.shape()[i] != 1)) axes.push_back(i);
  return reshape(axes.empty() ? g : sum(g, axes, keep_axis), shape);
}

bool stretches_to(const Shape& shape, const Shape& to) {
  const int extra = to.rank() - shape.rank();
  bool fits = extra >= 0;
  for (int i = 0; fits && i < shape.rank(); ++i) fits = shape[i] == 1 || shape[i] == to[i + extra];
  return fits;
}

// What a closure returned for input k; another's numbers would be taken for a gradient otherwise.
void check_gradient(const Node& node, size_t k, const Tensor& g) {
  const Edge& edge = node.edges[k];
  check(stretches_to(edge.shape, g.shape()), node.op, ": returned a gradient of shape ", g.shape(),
        " for input ", k, " of shape ", edge.shape);
  check<DTypeError>(g.dtype() == edge.dtype, node.op, ": returned a gradient of ", g.dtype(),
                    " for input ", k, " of ", edge.dtype, "; use to(g, x.dtype())");
  check<DeviceError>(g.device() == edge.device, node.op, ": returned a gradient on ", g.device(),
                     " for input ", k, " on ", edge.device);
}

void add_into(Tensor& slot, Tensor g) {
  slot = slot.defined() ? std::move(slot) + std::move(g) : std::move(g);
}

// Leaf gradients of a pass, in the order in which the leaves were first reached.
class LeafSink {
 public:
  /// Only these leaves are wanted; without a list, every leaf that asks for a gradient.
  void restrict_to(const Tensors& leaves) {
    restricted_ = true;
    for (const Tensor& x : leaves)
      if (x.defined()) index_of(x.handle());
  }
  bool wants(const Counted<TensorImpl>& leaf) const {
    return leaf && (!restricted_ || index_.contains(leaf.get()));
  }
  void add(const Counted<TensorImpl>& leaf, Tensor g) {
    add_into(sums_[index_of(leaf)].second, std::move(g));
  }
  Tensor sum_of(const Tensor& leaf) const {
    const auto found = leaf.defined() ? index_.find(leaf.handle().get()) : index_.end();
    return found == index_.end() ? Tensor{} : sums_[found->second].second;
  }
  const std::vector<std::pair<Tensor, Tensor>>& sums() const { return sums_; }

 private:
  size_t index_of(const Counted<TensorImpl>& leaf) {
    const auto [at, fresh] = index_.try_emplace(leaf.get(), sums_.size());
    if (fresh) sums_.emplace_back(Tensor(leaf), Tensor{});
    return at->second;
  }
  bool restricted_ = false;
  std::unordered_map<const TensorImpl*, size_t> index_;
  std::vector<std::pair<Tensor, Tensor>> sums_;
};

// One walk from results to leaves, in falling order of recording. All nodes that the results depend
// on are gathered first: that marks those which lead to a wanted input, so grad(loss, x) computes
// no weight gradients, and it needs no priority queue, as the order is known then.
class Pass {
 public:
  Pass(const Tensors& outputs, LeafSink& sink, BackwardOptions options)
      : id_(next_pass.fetch_add(1)),
        outer_(node_that_runs ? node_that_runs->pass : 0),
        sink_(sink),
        options_(options) {
    for (const Tensor& y : outputs)
      if (variable(y) && variable(y)->node) visit(variable(y)->node);
    for (size_t i = 0; i < order_.size(); ++i)
      for (const Edge& edge : order_[i]->edges)
        if (edge.node) visit(edge.node);
    std::sort(order_.begin(), order_.end(),
              [](const auto& a, const auto& b) { return a->sequence > b->sequence; });
    states_.resize(order_.size());
    for (size_t i = 0; i < order_.size(); ++i) {
      order_[i]->slot = i;
      states_[i].grads.resize(order_[i]->results);
    }
  }

  /// Asks for the gradient of a recorded result.
  void capture(const Tensor& x) {
    const Variable* v = variable(x);
    if (v && v->node && v->node->pass == id_) states_[v->node->slot].captured = true;
  }
  Tensor captured(const Tensor& x) {
    const Variable* v = variable(x);
    if (!v || !v->node || v->node->pass != id_) return {};
    auto& kept = states_[v->node->slot].kept;
    return kept.empty() ? Tensor{} : kept[static_cast<size_t>(v->result)];
  }

  void seed(const Tensor& y, Tensor cotangent) {
    if (Variable* v = variable(y)) {
      if (v->node)
        add_into(states_[v->node->slot].grads[static_cast<size_t>(v->result)],
                 std::move(cotangent));
      else if (v->requires_grad && sink_.wants(y.handle()))
        sink_.add(y.handle(), std::move(cotangent));
    }
  }

  void run() {
    mark_needed();
    for (size_t i = 0; i < order_.size(); ++i) {
      State& state = states_[i];
      if (state.captured) state.kept = state.grads;
      const bool any = std::any_of(state.grads.begin(), state.grads.end(),
                                   [](const Tensor& g) { return g.defined(); });
      if (any && state.runs) run_node(*order_[i], std::move(state.grads));
      state.grads.clear();
      if (!options_.retain_graph) release(i);
    }
  }

 private:
  struct State {
    Tensors grads;  // arriving, one per result
    Tensors kept;   // a copy of them, if captured
    bool captured = false;
    bool runs = false;    // an input of this node is wanted or leads to one
    bool needed = false;  // this node's own gradient is
  };

  void visit(const Counted<Node>& node) {
    if (node->pass == id_) return;
    // Its scratch is in use, and its saved values would be freed under the outer pass.
    check<GradError>(outer_ == 0 || node->pass != outer_, "backward: ", node->op,
                     " is part of the pass that runs; a closure may ask for gradients only of what "
                     "it recorded itself");
    node->pass = id_;
    order_.push_back(node);
  }

  bool wanted(const Edge& edge) const {
    return edge.node ? states_[edge.node->slot].needed : sink_.wants(edge.leaf);
  }

  void mark_needed() {
    for (size_t i = order_.size(); i-- > 0;) {  // inputs before what is made of them
      State& state = states_[i];
      for (const Edge& edge : order_[i]->edges) state.runs |= edge && wanted(edge);
      state.needed = state.runs || state.captured;
    }
  }

  void run_node(Node& node, Tensors grads) {
    check<GradError>(static_cast<bool>(node.backward), "backward: the graph behind ", node.op,
                     " was already freed; pass retain_graph to walk it twice");
    uint64_t bits = 0;
    std::vector<uint8_t> beyond(node.edges.size() > 64 ? node.edges.size() - 64 : 0);
    for (size_t k = 0; k < node.edges.size(); ++k) {
      if (!node.edges[k] || !wanted(node.edges[k])) continue;
      if (k < 64)
        bits |= uint64_t{1} << k;
      else
        beyond[k - 64] = 1;
    }
    Node* outer = std::exchange(node_that_runs, &node);
    struct Restore {
      Node* node;
      ~Restore() { node_that_runs = node; }
    } restore{outer};
    Grads result = node.backward(grads, Wanted(bits, beyond));
    grads.clear();
    check<GradError>(result.size() <= node.edges.size(), node.op, ": returned ", result.size(),
                     " gradients for ", node.edges.size(), " inputs");
    for (size_t k = 0; k < result.size(); ++k) {
      const Edge& edge = node.edges[k];
      if (!result[k].defined() || !edge || !wanted(edge)) continue;
      check_gradient(node, k, result[k]);
      Tensor g = sum_to(result[k], edge.shape);
      result[k] = {};  // so that g can be added to in place
      if (edge.node)
        add_into(states_[edge.node->slot].grads[static_cast<size_t>(edge.result)], std::move(g));
      else
        sink_.add(edge.leaf, std::move(g));
    }
  }

  // Saved values leave as the pass goes on.
  void release(size_t i) {
    order_[i]->backward = nullptr;
    if (!states_[i].captured) order_[i] = {};
  }

  uint64_t id_;
  uint64_t outer_;  // the pass whose closure began this one, or 0
  LeafSink& sink_;
  BackwardOptions options_;
  std::vector<Counted<Node>> order_;
  std::vector<State> states_;
};

void run_pass(Pass& pass, BackwardOptions options) {
  std::optional<NoGrad> no_grad;
  std::optional<EnableGrad> enable_grad;
  if (options.create_graph)
    enable_grad.emplace();
  else
    no_grad.emplace();
  pass.run();
}

Tensor default_cotangent(const Tensor& y, const Tensor& given, const char* who) {
  if (!given.defined()) return ones_like(y);
  check(given.shape() == y.shape(), who, ": a cotangent of shape ", given.shape(),
        " for an output of shape ", y.shape());
  check<DTypeError>(given.dtype() == y.dtype(), who, ": a cotangent of ", given.dtype(),
                    " for an output of ", y.dtype());
  return given;
}

// A leaf keeps a gradient of its own memory in its own layout: what arrives may be a view of, or
// shared with, somebody else's tensor.
Tensor owned(const Tensor& leaf, const Tensor& g) {
  const bool own = g.handle()->use_count() <= 2 && g.impl().storage->use_count() == 1 &&
                   g.strides() == dense_strides_like(leaf.shape(), leaf.strides());
  if (own) return g;
  Tensor copy = empty_like(leaf);
  copy_(copy, g);
  return copy;
}

}  // namespace

Node*& running_node() { return node_that_runs; }

void backward(const Tensor& loss, const Tensor& cotangent, BackwardOptions options) {
  options.retain_graph |= options.create_graph;
  check<GradError>(requires_grad(loss),
                   "backward: no operation was recorded; no input requires a gradient, or NoGrad "
                   "is on");
  check(cotangent.defined() || loss.numel() == 1, "backward: wants a loss of one element, got ",
        loss.shape(), "; reduce it, or pass a cotangent");
  LeafSink sink;
  {
    Pass pass({loss}, sink, options);
    pass.seed(loss, default_cotangent(loss, cotangent, "backward"));
    run_pass(pass, options);
  }
  for (const auto& [leaf, g] : sink.sums()) {
    if (!g.defined()) continue;
    Variable& v = *variable(leaf);
    if (options.create_graph) {
      v.grad = v.grad.defined() ? v.grad + g : g;
    } else {
      const NoGrad no_grad;
      v.grad = owned(leaf, v.grad.defined() ? std::move(v.grad) + g : g);
    }
  }
}

Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& cotangents,
             BackwardOptions options) {
  options.retain_graph |= options.create_graph;
  check(cotangents.empty() || cotangents.size() == outputs.size(), "grad: ", cotangents.size(),
        " cotangents for ", outputs.size(), " outputs");
  LeafSink sink;
  Tensors leaves;
  for (const Tensor& x : inputs)
    if (!variable(x) || !variable(x)->node) leaves.push_back(x);
  sink.restrict_to(leaves);
  Pass pass(outputs, sink, options);
  for (const Tensor& x : inputs) pass.capture(x);
  for (size_t i = 0; i < outputs.size(); ++i)
    pass.seed(outputs[i],
              default_cotangent(outputs[i], cotangents.empty() ? Tensor{} : cotangents[i], "grad"));
  run_pass(pass, options);
  Tensors result;
  for (const Tensor& x : inputs)
    result.push_back(variable(x) && variable(x)->node ? pass.captured(x) : sink.sum_of(x));
  return result;
}

}  // namespace brume
