#include <brume/autograd/node.h>

#include <atomic>

#include <brume/autograd/graph.h>

namespace brume {
namespace {

thread_local bool grad_is_enabled = true;
std::atomic<uint64_t> next_sequence{1};
std::atomic<int64_t> node_count{0};

// Nodes whose last handle went while another node was being destroyed wait here, so that the end of
// a chain of a million operations takes no stack.
thread_local Node* dead_nodes = nullptr;
thread_local bool draining = false;

thread_local Captures* noting = nullptr;

Variable& variable_of(const Tensor& x) {
  auto& record = x.impl().grad;
  if (!record) record = std::make_unique<Variable>();
  return static_cast<Variable&>(*record);
}

}  // namespace

bool grad_enabled() { return grad_is_enabled; }
bool detail::exchange_grad_enabled(bool on) { return std::exchange(grad_is_enabled, on); }

Node::Node(const char* name, size_t result_count)
    : op(name), sequence(next_sequence.fetch_add(1)), results(result_count) {
  node_count.fetch_add(1, std::memory_order_relaxed);
}
Node::~Node() { node_count.fetch_sub(1, std::memory_order_relaxed); }

int64_t live_nodes() { return node_count.load(std::memory_order_relaxed); }

void dispose(Node* node) {
  node->next_dead = dead_nodes;
  dead_nodes = node;
  if (draining) return;
  draining = true;
  while (dead_nodes) {
    Node* dead = dead_nodes;
    dead_nodes = dead->next_dead;
    delete dead;
  }
  draining = false;
}

Variable* variable(const Tensor& x) { return static_cast<Variable*>(x.impl().grad.get()); }

bool requires_grad(const Tensor& x) {
  if (!x.defined()) return false;
  const Variable* v = variable(x);
  return v && (v->requires_grad || v->node);
}

bool needs_grad(std::span<const Tensor> inputs) {
  if (noting) [[unlikely]]
    noting->note(inputs);
  if (!grad_is_enabled) return false;
  for (const Tensor& x : inputs)
    if (requires_grad(x)) return true;
  return false;
}

Captures::Captures() : begin_(next_sequence), outer_(std::exchange(noting, this)) {}
Captures::~Captures() { noting = outer_; }

void Captures::note(std::span<const Tensor> inputs) {
  for (const Tensor& x : inputs) {
    if (!requires_grad(x)) continue;
    const Variable* v = variable(x);
    if ((!v->node || v->node->sequence < begin_) && known_.insert(&x.impl()).second)
      tensors_.push_back(x);
  }
}

namespace {

// Appends a node for `results`.
void attach_node(const char* op, std::span<Tensor> results, std::span<const Tensor> inputs,
                 Backward backward) {
  Counted<Node> node(new Node(op, results.size()));
  node->backward = std::move(backward);
  node->edges.resize(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!requires_grad(inputs[i])) continue;
    const Variable* v = variable(inputs[i]);
    Edge& edge = node->edges[i];
    edge.node = v->node;
    edge.result = v->result;
    if (!v->node) edge.leaf = inputs[i].handle();
    edge.shape = inputs[i].shape();
    edge.dtype = inputs[i].dtype();
    edge.device = inputs[i].device();
  }
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].defined() || !is_floating(results[i].dtype())) continue;
    check<GradError>(!requires_grad(results[i]), op,
                     ": a result is already part of a graph; return a new tensor or an alias");
    Variable& v = variable_of(results[i]);
    v.node = node;
    v.result = static_cast<int>(i);
  }
}

}  // namespace

Tensors record_all(const char* op, Tensors results, std::span<const Tensor> inputs,
                   Backward backward) {
  if (needs_grad(inputs)) attach_node(op, results, inputs, std::move(backward));
  return results;
}

Tensor detail::record_one(const char* op, Tensor y, std::span<const Tensor> inputs,
                          Backward backward) {
  attach_node(op, std::span(&y, 1), inputs, std::move(backward));
  return y;
}

namespace {

void check_version(const Tensor& x, uint32_t saved) {
  const Node* node = running_node();
  check<GradError>(x.version() == saved, "backward: ", node ? node->op : "an operation",
                   " saved a value that was later changed (version ", x.version(), ", expected ",
                   saved, "); write to a copy instead");
}

}  // namespace

Saved::Saved(const Tensor& x) : x_(x), version_(x.defined() ? x.version() : 0) {}

Tensor Saved::get() const {
  if (x_.defined()) check_version(x_, version_);
  return x_;
}

SavedResult::SavedResult(const Tensor& y, int index)
    : y_(alias(y, y.shape(), y.strides())), version_(y.version()), index_(index) {}

Tensor SavedResult::get() const {
  check_version(y_, version_);
  if (!grad_enabled() || !running_node()) return y_;
  Tensor y = alias(y_, y_.shape(), y_.strides());
  Variable& v = variable_of(y);
  v.node = Counted<Node>(running_node());
  v.result = index_;
  return y;
}

Tensor set_requires_grad(Tensor x, bool on) {
  check<DTypeError>(is_floating(x.dtype()), "set_requires_grad: wants a floating dtype, got ",
                    x.dtype());
  check<GradError>(!variable(x) || !variable(x)->node,
                   "set_requires_grad: the tensor is the result of a recorded operation; "
                   "use detach(x) to get a leaf");
  if (on || variable(x)) variable_of(x).requires_grad = on;
  return x;
}

Tensor grad_of(const Tensor& leaf) {
  const Variable* v = variable(leaf);
  return v ? v->grad : Tensor{};
}

void set_grad(const Tensor& leaf, Tensor g) {
  if (g.defined()) {
    check(g.shape() == leaf.shape(), "set_grad: a gradient of shape ", g.shape(),
          " for a tensor of shape ", leaf.shape());
    check<DTypeError>(g.dtype() == leaf.dtype(), "set_grad: a gradient of ", g.dtype(),
                      " for a tensor of ", leaf.dtype());
    check<DeviceError>(g.device() == leaf.device(), "set_grad: a gradient on ", g.device(),
                       " for a tensor on ", leaf.device());
  }
  if (g.defined() || variable(leaf)) variable_of(leaf).grad = std::move(g);
}

Tensor detach(const Tensor& x) { return alias(x, x.shape(), x.strides()); }

}  // namespace brume
