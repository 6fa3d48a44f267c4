#include <brume/nn/graph.h>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

Graph::Graph(const Tensor& edge_index, int64_t num_nodes) : num_nodes_(num_nodes) {
  check(edge_index.rank() == 2 && edge_index.size(0) == 2 && edge_index.dtype() == DType::i64,
        "Graph: wants integers [2, E], got ", edge_index.shape(), " of ", edge_index.dtype());
  check(num_nodes >= 0, "Graph: num_nodes must not be negative, got ", num_nodes);
  std::vector<float> count(static_cast<size_t>(num_nodes), 0);
  const std::vector<int64_t> nodes = edge_index.to_vector<int64_t>();
  const size_t edges = nodes.size() / 2;
  for (size_t i = 0; i < nodes.size(); ++i) {
    check(nodes[i] >= 0 && nodes[i] < num_nodes, "Graph: edge ", i % edges, " names node ",
          nodes[i], ", but there are ", num_nodes);
    if (i >= edges) ++count[static_cast<size_t>(nodes[i])];
  }
  for (float& n : count) n = n == 0 ? 1 : n;
  source_ = contiguous(select(edge_index, 0, 0));
  destination_ = contiguous(select(edge_index, 0, 1));
  arriving_ = from_vector(count, {num_nodes, 1}, edge_index.device());
}

Tensor Graph::at_sources(const Tensor& x) const { return index_select(x, 0, source_); }
Tensor Graph::at_destinations(const Tensor& x) const { return index_select(x, 0, destination_); }

Tensor Graph::aggregate(const Tensor& messages, Aggregation how) const {
  check(messages.rank() == 2 && messages.size(0) == num_edges(), "Graph: wants messages [",
        num_edges(), ", D], got ", messages.shape());
  const Tensor none = zeros({num_nodes_, messages.size(1)},
                            {.dtype = messages.dtype(), .device = messages.device()});
  const Tensor total = index_add(none, 0, destination_, messages);
  return how == Aggregation::sum ? total : total / convert(arriving_, total.dtype());
}

}  // namespace brume::nn
