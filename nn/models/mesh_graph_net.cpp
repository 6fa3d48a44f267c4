#include <brume/nn/models/mesh_graph_net.h>

#include <brume/autograd/checkpoint.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {

Names names_of(Aggregation) {
  static constexpr const char* kNames[] = {"sum", "mean"};
  return kNames;
}

Names names_of(MeshNorm) {
  static constexpr const char* kNames[] = {"LayerNorm", "TELayerNorm"};
  return kNames;
}

MeshGraphMLP::MeshGraphMLP(const Config& c)
    : parts_(c.parts),
      part_width_(c.in_features / c.parts),
      activation_(activation_by_name(c.activation)) {
  check(c.hidden_layers >= 1, "MeshGraphMLP: needs at least one hidden layer, got ",
        c.hidden_layers);
  int place = 0;
  if (c.in_parts) {
    check<Error>(c.parts == 3, "MeshGraphMLP: in_parts is for edge updates");
    const Init init = Init::fan(InitMode::fan_in_uniform, c.in_features, 1);
    // Drawn as one matrix, of which each is some columns.
    const Tensor whole = detail::initial_tensor({c.hidden_features, c.in_features}, init);
    for (const char* name : {"lin_efeat", "lin_src", "lin_dst"}) {
      const auto i = static_cast<int64_t>(part_weights_.size());
      const Tensor w = param(name, {c.hidden_features, part_width_}, Init::constant(0));
      if (detail::draws_values()) {
        const NoGrad no_grad;
        copy_(w, slice(whole, 1, i * part_width_, (i + 1) * part_width_));
      }
      part_weights_.push_back(w);
    }
    bias_ = param("bias", {c.hidden_features}, init);
  } else {
    const auto first = child<Linear>(cat("model.", place++),
                                     LinearConfig::torch_default(c.in_features, c.hidden_features));
    weight_ = first->weight, bias_ = first->bias;
  }
  for (int64_t i = 1; i <= c.hidden_layers; ++i) {
    ++place;  // the activation
    const int64_t out = i == c.hidden_layers ? c.out_features : c.hidden_features;
    linears_.push_back(
        child<Linear>(cat("model.", place++), LinearConfig::torch_default(c.hidden_features, out)));
  }
  if (c.norm) norm_ = child<LayerNorm>(cat("model.", place), {.width = c.out_features});
}

Tensor MeshGraphMLP::part(int64_t i, const Tensor& x) const {
  const Tensor w = weight_.defined() ? slice(weight_, 1, i * part_width_, (i + 1) * part_width_)
                                     : part_weights_[static_cast<size_t>(i)];
  return linear(x, as_dtype(w, x), i + 1 == parts_ ? as_dtype(bias_, x) : Tensor());
}

Tensor MeshGraphMLP::from_first(Tensor h) const {
  for (const Ref<Linear>& layer : linears_)
    h = layer(activation_ ? activation_(std::move(h)) : std::move(h));
  return norm_ ? norm_(h) : h;
}

MeshGraphNet::MeshGraphNet(const Config& c) : config_(c) {
  check_range("MeshGraphNet", "processor_size", c.processor_size, 0);
  check_range("MeshGraphNet", "num_processor_checkpoint_segments",
              c.num_processor_checkpoint_segments, 0);
  check(c.num_processor_checkpoint_segments == 0 ||
            2 * c.processor_size % c.num_processor_checkpoint_segments == 0,
        "MeshGraphNet: ", 2 * c.processor_size, " processor layers cannot be cut into ",
        c.num_processor_checkpoint_segments, " equal segments");
  check<Error>(!c.recompute_activation || c.mlp_activation_fn == "silu",
               "MeshGraphNet: recompute_activation is for mlp_activation_fn silu, got ",
               c.mlp_activation_fn);
  const int64_t width = c.hidden_dim_processor;
  const auto mlp = [&](int64_t in, int64_t out, int64_t hidden, int64_t layers, bool norm = true) {
    return make<MeshGraphMLP>({in, out, hidden, layers, c.mlp_activation_fn, norm});
  };
  const auto update = [&](int64_t parts, int64_t layers, bool in_parts) {
    return make<MeshGraphMLP>(
        {parts * width, width, width, layers, c.mlp_activation_fn, true, parts, in_parts});
  };
  edge_encoder_ = child("edge_encoder", mlp(c.input_dim_edges, width, c.hidden_dim_edge_encoder,
                                            c.num_layers_edge_encoder));
  node_encoder_ = child("node_encoder", mlp(c.input_dim_nodes, width, c.hidden_dim_node_encoder,
                                            c.num_layers_node_encoder));
  node_decoder_ = child("node_decoder", mlp(width, c.output_dim, c.hidden_dim_node_decoder,
                                            c.num_layers_node_decoder, false));
  // All edge blocks are drawn before all node blocks, and registered in turns.
  for (int64_t k = 0; k < c.processor_size; ++k)
    edge_mlps_.push_back(update(3, c.num_layers_edge_processor, c.do_concat_trick));
  for (int64_t k = 0; k < c.processor_size; ++k)
    node_mlps_.push_back(update(2, c.num_layers_node_processor, false));
  for (size_t k = 0; k < edge_mlps_.size(); ++k) {
    child(cat("processor.processor_layers.", 2 * k, ".edge_mlp"), edge_mlps_[k]);
    child(cat("processor.processor_layers.", 2 * k + 1, ".node_mlp"), node_mlps_[k]);
  }
}

// Layers begin .. end-1, where even ones update edges and odd ones nodes.
MeshGraphNet::State MeshGraphNet::process(const State& state, const Graph& graph, size_t begin,
                                          size_t end) const {
  Tensor nodes = state.nodes, edges = state.edges;
  for (size_t layer = begin; layer < end; ++layer) {
    if (layer % 2 == 0) {
      const MeshGraphMLP& mlp = *edge_mlps_[layer / 2];
      const Tensor h = mlp.part(0, edges) + graph.at_sources(mlp.part(1, nodes)) +
                       graph.at_destinations(mlp.part(2, nodes));
      edges = edges + mlp.from_first(h);
    } else {
      const MeshGraphMLP& mlp = *node_mlps_[layer / 2];
      const Tensor arrived = graph.aggregate(edges, config_.aggregation);
      nodes = nodes + mlp.from_first(mlp.part(0, arrived) + mlp.part(1, nodes));
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
