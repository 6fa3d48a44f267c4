#include <brume/nn/graph.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

Tensor checked(const Tensor& edge_index, int64_t num_nodes) {
  check(edge_index.rank() == 2 && edge_index.size(0) == 2 && edge_index.dtype() == DType::i64,
        "Graph: wants integers [2, E], got ", edge_index.shape(), " of ", edge_index.dtype());
  check(num_nodes >= 0, "Graph: num_nodes must not be negative, got ", num_nodes);
  const std::vector<int64_t> nodes = edge_index.to_vector<int64_t>();
  for (size_t i = 0; i < nodes.size(); ++i)
    check(nodes[i] >= 0 && nodes[i] < num_nodes, "Graph: edge ", i % (nodes.size() / 2),
          " names node ", nodes[i], ", but there are ", num_nodes);
  return edge_index;
}

}  // namespace

Graph::Graph(const Tensor& edge_index, int64_t num_nodes)
    : num_nodes_(num_nodes),
      leaving_(select(checked(edge_index, num_nodes), 0, 0), num_nodes),
      arriving_(select(edge_index, 0, 1), num_nodes) {
  const Tensor& offsets = arriving_.offsets;
  const Tensor count = slice(offsets, 0, 1, num_nodes + 1) - slice(offsets, 0, 0, num_nodes);
  divisor_ = reshape(clamp_min(convert(count, DType::f32), 1), {num_nodes, 1});
}

Tensor Graph::at_sources(const Tensor& x) const { return segment_rows(x, leaving_); }
Tensor Graph::at_destinations(const Tensor& x) const { return segment_rows(x, arriving_); }

Tensor Graph::aggregate(const Tensor& messages, Aggregation how) const {
  check(messages.rank() == 2 && messages.size(0) == num_edges(), "Graph: wants messages [",
        num_edges(), ", D], got ", messages.shape());
  const Tensor total = segment_sum(messages, arriving_);
  return how == Aggregation::sum ? total : total / convert(divisor_, total.dtype());
}

}  // namespace brume::nn
