#include <brume/nn/models/mesh_graph_net.h>

#include <brume/autograd/checkpoint.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

Names names_of(Aggregation) {
  static constexpr const char* kNames[] = {"sum", "mean"};
  return kNames;
}

MeshGraphMLP::MeshGraphMLP(const Config& c) : activation_(activation_by_name(c.activation)) {
  check(c.hidden_layers >= 1, "MeshGraphMLP: needs at least one hidden layer, got ",
        c.hidden_layers);
  int64_t in = c.in_features;
  for (int64_t i = 0; i <= c.hidden_layers; ++i) {
    const int64_t out = i == c.hidden_layers ? c.out_features : c.hidden_features;
    linears_.push_back(child<Linear>(cat("model.", 2 * i), LinearConfig::torch_default(in, out)));
    in = out;
  }
  if (c.norm)
    norm_ = child<LayerNorm>(cat("model.", 2 * c.hidden_layers + 1), {.width = c.out_features});
}

Tensor MeshGraphMLP::from_first(Tensor h) const {
  for (size_t i = 1; i < linears_.size(); ++i)
    h = linears_[i](activation_ ? activation_(std::move(h)) : std::move(h));
  return norm_ ? norm_(h) : h;
}

MeshGraphNet::MeshGraphNet(const Config& c) : config_(c) {
  check(c.processor_size >= 0 && c.num_processor_checkpoint_segments >= 0,
        "MeshGraphNet: processor_size must not be negative, got ", c.processor_size);
  check(c.num_processor_checkpoint_segments == 0 ||
            2 * c.processor_size % c.num_processor_checkpoint_segments == 0,
        "MeshGraphNet: ", 2 * c.processor_size, " processor layers cannot be cut into ",
        c.num_processor_checkpoint_segments, " equal segments");
  const int64_t width = c.hidden_dim_processor;
  const auto mlp = [&](int64_t in, int64_t out, int64_t hidden, int64_t layers, bool norm = true) {
    return make<MeshGraphMLP>({in, out, hidden, layers, c.mlp_activation_fn, norm});
  };
  edge_encoder_ = child("edge_encoder", mlp(c.input_dim_edges, width, c.hidden_dim_edge_encoder,
                                            c.num_layers_edge_encoder));
  node_encoder_ = child("node_encoder", mlp(c.input_dim_nodes, width, c.hidden_dim_node_encoder,
                                            c.num_layers_node_encoder));
  node_decoder_ = child("node_decoder", mlp(width, c.output_dim, c.hidden_dim_node_decoder,
                                            c.num_layers_node_decoder, false));
  // All edge blocks are drawn before all node blocks, and registered in turns.
  for (int64_t k = 0; k < c.processor_size; ++k)
    edge_mlps_.push_back(mlp(3 * width, width, width, c.num_layers_edge_processor));
  for (int64_t k = 0; k < c.processor_size; ++k)
    node_mlps_.push_back(mlp(2 * width, width, width, c.num_layers_node_processor));
  for (size_t k = 0; k < edge_mlps_.size(); ++k) {
    child(cat("processor.processor_layers.", 2 * k, ".edge_mlp"), edge_mlps_[k]);
    child(cat("processor.processor_layers.", 2 * k + 1, ".node_mlp"), node_mlps_[k]);
  }
}

// Layers begin .. end-1, where even ones update edges and odd ones nodes.
MeshGraphNet::State MeshGraphNet::process(const State& state, const Graph& graph, size_t begin,
                                          size_t end) const {
  auto [nodes, edges] = state;
  const int64_t width = config_.hidden_dim_processor;
  for (size_t layer = begin; layer < end; ++layer) {
    const MeshGraphMLP& mlp = layer % 2 == 0 ? *edge_mlps_[layer / 2] : *node_mlps_[layer / 2];
    const Tensor w = as_dtype(mlp.first_layer().weight, nodes);
    const Tensor b = as_dtype(mlp.first_layer().bias, nodes);
    const auto columns = [&](int64_t i) { return slice(w, 1, i * width, (i + 1) * width); };
    if (layer % 2 == 0) {
      const Tensor h = linear(edges, columns(0)) + graph.at_sources(linear(nodes, columns(1))) +
                       graph.at_destinations(linear(nodes, columns(2), b));
      edges = edges + mlp.from_first(h);
    } else {
      const Tensor arrived = graph.aggregate(edges, config_.aggregation);
      nodes = nodes + mlp.from_first(linear(arrived, columns(0)) + linear(nodes, columns(1), b));
    }
  }
  return {nodes, edges};
}

Tensor MeshGraphNet::operator()(const Tensor& node_features, const Tensor& edge_features,
                                const Graph& graph) const {
  const Config& c = config_;
  check(node_features.shape() == Shape{graph.num_nodes(), c.input_dim_nodes},
        "MeshGraphNet: node_features must be [", graph.num_nodes(), ", ", c.input_dim_nodes,
        "], but are ", node_features.shape());
  check(edge_features.shape() == Shape{graph.num_edges(), c.input_dim_edges},
        "MeshGraphNet: edge_features must be [", graph.num_edges(), ", ", c.input_dim_edges,
        "], but are ", edge_features.shape());
  State state{node_encoder_(node_features), edge_encoder_(edge_features)};
  const size_t layers = 2 * edge_mlps_.size();
  if (c.num_processor_checkpoint_segments == 0) {
    state = process(state, graph, 0, layers);
  } else {
    const size_t segment = layers / static_cast<size_t>(c.num_processor_checkpoint_segments);
    for (size_t begin = 0; begin < layers; begin += segment) {
      // A checkpoint has one result: nodes and edges in one tensor.
      const Tensor both = checkpoint(
          [this, graph, begin, segment](const Tensors& in) {
            const State next = process({in[0], in[1]}, graph, begin, begin + segment);
            return cat({next.nodes, next.edges}, 0);
          },
          {state.nodes, state.edges});
      const std::vector<Tensor> parts = split(both, {graph.num_nodes(), graph.num_edges()}, 0);
      state = {parts[0], parts[1]};
    }
  }
  return node_decoder_(state.nodes);
}

}  // namespace brume::nn
