#pragma once
// A directed graph with its edges sorted by node: what passes messages along them.

#include <cstdint>

#include <brume/autograd/ops/index.h>
#include <brume/core/tensor.h>

namespace brume::nn {

enum class Aggregation { sum, mean };

/// Nodes 0 .. num_nodes-1 and edges from `source` to `destination`. A batch is one graph of graphs
/// that share no edge. Copies share their tensors.
class Graph {
 public:
  /// @shape edge_index i64 [2, E]: row 0 sources, row 1 destinations
  /// @throws ShapeError if a node is out of range
  Graph(const Tensor& edge_index, int64_t num_nodes);

  int64_t num_nodes() const { return num_nodes_; }
  int64_t num_edges() const { return source().size(0); }
  const Tensor& source() const { return leaving_.owner; }        // i64 [E]
  const Tensor& destination() const { return arriving_.owner; }  // i64 [E]
  /// The edges by the node that they leave, and by that where they arrive (compressed rows).
  const Segments& leaving() const { return leaving_; }
  const Segments& arriving() const { return arriving_; }

  /// A row of x for each edge: that of its source or destination. @shape x [N, D] -> [E, D]
  Tensor at_sources(const Tensor& x) const;
  Tensor at_destinations(const Tensor& x) const;
  /// The sum or mean of messages that arrive at each node, 0 where none do; summed in the order of
  /// the edges, so results repeat bit for bit. @shape messages [E, D] -> [N, D]
  Tensor aggregate(const Tensor& messages, Aggregation how) const;

 private:
  int64_t num_nodes_;
  Segments leaving_, arriving_;
  Tensor divisor_;  // max(number of edges that arrive, 1), f32 [N, 1]
};

}  // namespace brume::nn
