#pragma once
// MeshGraphNet: messages along the edges of a mesh.

#include <string>
#include <vector>

#include <brume/nn/graph.h>
#include <brume/nn/layers/activation.h>
#include <brume/nn/layers/layer_norm.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/module.h>

namespace brume::nn {

Names names_of(Aggregation);

struct MeshGraphMLPConfig {
  int64_t in_features = 0, out_features = 0;
  int64_t hidden_features = 0, hidden_layers = 2;
  std::string activation = "relu";
  bool norm = true;
  int64_t parts = 1;      // of equal width that the input is joined of
  bool in_parts = false;  // whether the first layer is stored so: lin_efeat, lin_src, lin_dst, bias
};

/// hidden_layers of hidden_features with activations, a last layer, a norm. Keys: model.<i>.*
/// The first layer of a joined input is computed part by part, which lets parts be computed where
/// they are few (nodes) and added where they are many (edges).
class MeshGraphMLP : public Module {
 public:
  using Config = MeshGraphMLPConfig;
  explicit MeshGraphMLP(const Config& c);
  Tensor operator()(const Tensor& x) const { return from_first(part(0, x)); }

  /// The i-th part's share of the first layer's result; the last part's has the bias.
  Tensor part(int64_t i, const Tensor& x) const;
  /// What comes behind the first layer.
  Tensor from_first(Tensor h) const;

 private:
  int64_t parts_, part_width_;
  Tensor weight_, bias_;              // of the first layer: [hidden, in], [hidden]
  std::vector<Tensor> part_weights_;  // or [hidden, in / parts] each
  std::vector<Ref<Linear>> linears_;  // behind the first
  Activation activation_;
  Ref<LayerNorm> norm_;
};

/// Who computes the norms in the reference; the numbers are the same.
enum class MeshNorm { LayerNorm, TELayerNorm };
Names names_of(MeshNorm);

struct MeshGraphNetConfig {
  int64_t input_dim_nodes = 0, input_dim_edges = 0, output_dim = 0;
  int64_t processor_size = 15;
  std::string mlp_activation_fn = "relu";
  int64_t num_layers_node_processor = 2, num_layers_edge_processor = 2;
  int64_t hidden_dim_processor = 128;
  int64_t hidden_dim_node_encoder = 128, num_layers_node_encoder = 2;
  int64_t hidden_dim_edge_encoder = 128, num_layers_edge_encoder = 2;
  int64_t hidden_dim_node_decoder = 128, num_layers_node_decoder = 2;
  Aggregation aggregation = Aggregation::sum;
  bool do_concat_trick = false;  // edge updates store their first layer in parts; same numbers
  int64_t num_processor_checkpoint_segments = 0;  // computed again in backward; 0: none
  MeshNorm norm_type = MeshNorm::LayerNorm;
  bool recompute_activation = false;  // of silu only; recomputed or kept, the numbers are the same
  Ignored ignored{};

  template <class V>
  void fields(V& v) {
    v("input_dim_nodes", input_dim_nodes, required);
    v("input_dim_edges", input_dim_edges, required);
    v("output_dim", output_dim, required);
    v("processor_size", processor_size);
    v("mlp_activation_fn", mlp_activation_fn);
    v("num_layers_node_processor", num_layers_node_processor);
    v("num_layers_edge_processor", num_layers_edge_processor);
    v("hidden_dim_processor", hidden_dim_processor);
    v("hidden_dim_node_encoder", hidden_dim_node_encoder);
    v("num_layers_node_encoder", num_layers_node_encoder);
    v("hidden_dim_edge_encoder", hidden_dim_edge_encoder);
    v("num_layers_edge_encoder", num_layers_edge_encoder);
    v("hidden_dim_node_decoder", hidden_dim_node_decoder);
    v("num_layers_node_decoder", num_layers_node_decoder);
    v("aggregation", aggregation);
    v("do_concat_trick", do_concat_trick);
    v("num_processor_checkpoint_segments", num_processor_checkpoint_segments);
    v("norm_type", norm_type);
    v("recompute_activation", recompute_activation);
    v.ignored(ignored, {"checkpoint_offloading"});
  }
};

/// Encoders of nodes and edges; processor_size times an update of each edge from its ends and of
/// each node from the messages that arrive; a decoder of nodes. The first layer of an edge update
/// is computed per node and edge and then added, so no edge holds a copy of its ends.
/// @shape  node_features [N, input_dim_nodes], edge_features [E, input_dim_edges] -> [N,
/// output_dim]
/// @source Pfaff et al. 2021, arXiv:2010.03409
class MeshGraphNet : public Module {
 public:
  using Config = MeshGraphNetConfig;
  explicit MeshGraphNet(const Config& c);
  Tensor operator()(const Tensor& node_features, const Tensor& edge_features,
                    const Graph& graph) const;

 private:
  struct State {
    Tensor nodes, edges;
  };
  State process(const State& state, const Graph& graph, size_t begin, size_t end) const;

  Config config_;
  Ref<MeshGraphMLP> edge_encoder_, node_encoder_, node_decoder_;
  std::vector<Ref<MeshGraphMLP>> edge_mlps_, node_mlps_;
};

}  // namespace brume::nn
