#pragma once
// The recorded graph: what node.cpp builds and backward.cpp walks. Not part of the public face.

#include <cstdint>
#include <unordered_set>
#include <vector>

#include <brume/autograd/node.h>
#include <brume/core/ref_counted.h>

namespace brume {

/// A node's input: the node that made it, or a leaf that wants a gradient, or neither.
struct Edge {
  Counted<Node> node;
  int result = 0;  // which of the node's results
  Counted<TensorImpl> leaf;
  // The input's: its gradient is summed back to the shape, and must have the rest.
  Shape shape;
  DType dtype = DType::f32;
  Device device = kCpu;
  explicit operator bool() const { return node || leaf; }
};

struct Node : RefCounted {
  Node(const char* name, size_t results);
  ~Node();

  const char* op;
  uint64_t sequence;  // of this thread's recording: inputs have smaller numbers
  size_t results;
  std::vector<Edge> edges;
  Backward backward;  // empty once it has run without retain_graph
  Node* next_dead = nullptr;

  // Scratch of the pass that visits this node; a graph is walked by one thread at a time.
  uint64_t pass = 0;
  size_t slot = 0;
};

// Chains are torn down iteratively: see node.cpp.
void dispose(Node* node);

/// What a tensor carries when it takes part in gradients.
struct Variable : GradRecord {
  bool requires_grad = false;  // of a leaf
  Tensor grad;                 // of a leaf
  Counted<Node> node;          // of a recorded result
  int result = 0;
  bool refuses_write() const override { return node || (requires_grad && grad_enabled()); }
};

/// x's record, or null.
Variable* variable(const Tensor& x);

/// Notes, while it lives, what this thread's operations depend on, recording or not: leaves that
/// ask for a gradient, and results recorded before it began. Each once, in order of use.
class Captures {
 public:
  Captures();
  ~Captures();
  Captures(const Captures&) = delete;
  Captures& operator=(const Captures&) = delete;

  void note(std::span<const Tensor> inputs);
  const Tensors& tensors() const { return tensors_; }

 private:
  uint64_t begin_;  // the first sequence number of what is recorded meanwhile
  Captures* outer_;
  Tensors tensors_;
  std::unordered_set<const TensorImpl*> known_;
};

/// The node whose closure runs on this thread, for SavedResult; set by the engine.
Node*& running_node();

}  // namespace brume
