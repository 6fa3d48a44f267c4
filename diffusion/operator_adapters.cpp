#include <brume/diffusion/operator_adapters.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/serialize.h>

namespace brume::diffusion {
namespace {

// A vector of each sample at every place of x, as channels.
Tensor spread(const Tensor& vector, const Tensor& x) {
  Shape ones = Shape::filled(x.rank(), 1), whole = x.shape();
  ones[0] = vector.size(0), ones[1] = whole[1] = vector.size(1);
  return expand(reshape(vector, ones), whole);
}

// The same with channels on the last axis.
Tensor spread_last(const Tensor& vector, const Tensor& x) {
  Shape ones = Shape::filled(x.rank(), 1), whole = x.shape();
  const int last = x.rank() - 1;
  ones[0] = vector.size(0), ones[last] = whole[last] = vector.size(1);
  return expand(reshape(vector, ones), whole);
}

constexpr int64_t kNoMesh = -1;  // the ends of every edge until there is a mesh

}  // namespace

Tensor join_channels(const Tensor& x, const Tensor& embedding, const Condition& condition) {
  check(x.rank() >= 2, "join_channels: wants x [B, C, ...], got ", x.shape());
  std::vector<Tensor> parts{x};
  if (embedding.defined()) parts.push_back(spread(nn::as_dtype(embedding, x), x));
  for (const auto& [name, tensor] : condition.entries()) {
    const bool is_vector = tensor.rank() == 2 && x.rank() > 2;
    Shape wanted = x.shape();
    if (tensor.rank() >= 2) wanted[1] = tensor.size(1);
    check(is_vector ? tensor.size(0) == x.size(0) : tensor.shape() == wanted,
          "join_channels: the condition '", name, "' of ", tensor.shape(), " does not fit x of ",
          x.shape());
    const Tensor part = nn::as_dtype(tensor, x);
    parts.push_back(is_vector ? spread(part, x) : part);
  }
  return parts.size() == 1 ? x : cat(parts, 1);
}

TransolverAdapter::TransolverAdapter(const Config& c) : net(child<nn::Transolver>("net", c)) {
  check(c.time_input, "TransolverAdapter: the net needs time_input");
}

Tensor TransolverAdapter::operator()(const Tensor& x, const Tensor& t,
                                     const Condition& condition) const {
  if (condition.empty() || condition.is_tensor()) return net(x, condition.tensor(), t);
  std::vector<Tensor> parts{x};
  for (const auto& [name, tensor] : condition.entries())
    if (name != "embedding") parts.push_back(nn::as_dtype(tensor, x));
  return net(cat(parts, -1), condition.find("embedding"), t);
}

MeshGraphNetAdapter::MeshGraphNetAdapter(const Config& c) : num_nodes_(c.num_nodes) {
  nn::check_range("MeshGraphNetAdapter", "num_nodes", c.num_nodes, 1);
  nn::check_range("MeshGraphNetAdapter", "num_edges", c.num_edges, 0);
  const Shape ends{2, c.num_edges};
  edge_index_ = buffer(
      "edge_index", ends, [ends] { return full(ends, kNoMesh, {.dtype = DType::i64}); },
      nn::persistent, DType::i64);
  edge_features_ =
      buffer("edge_features", {c.num_edges, c.net.input_dim_edges}, nn::Init::constant(0));
  net = child<nn::MeshGraphNet>("net", c.net);
  time_embed_ = child<nn::PositionalEmbedding>("time_embed",
                                               {.num_channels = c.time_channels, .endpoint = true});
}

void MeshGraphNetAdapter::set_mesh(const Tensor& edge_index, const Tensor& edge_features) {
  nn::load_state(*this, {{"edge_index", edge_index}, {"edge_features", edge_features}},
                 nn::Strictness::loose);
}

Tensor MeshGraphNetAdapter::operator()(const Tensor& x, const Tensor& t,
                                       const Condition& condition) const {
  check(x.rank() == 3 && x.size(1) == num_nodes_, "MeshGraphNetAdapter: wants x [B, ", num_nodes_,
        ", channels], got ", x.shape());
  check_times("MeshGraphNetAdapter", t, x.shape());
  const int64_t batch = x.size(0), edges = edge_index_.size(1);
  check<Error>(edges == 0 || slice(edge_index_, 1, 0, 1).to_vector<int64_t>()[0] != kNoMesh,
               "MeshGraphNetAdapter: has no mesh; call set_mesh or load a file with one");
  std::vector<Tensor> parts{x, spread_last(nn::as_dtype(time_embed_(t), x), x)};
  for (const auto& [name, tensor] : condition.entries()) {
    check(tensor.rank() == 3 && tensor.size(0) == batch && tensor.size(1) == num_nodes_,
          "MeshGraphNetAdapter: the condition '", name, "' must be [", batch, ", ", num_nodes_,
          ", channels], but is ", tensor.shape());
    parts.push_back(nn::as_dtype(tensor, x));
  }
  // Sample b has the nodes from b * num_nodes on.
  const TensorOptions integers{.dtype = DType::i64, .device = x.device()};
  const Tensor first =
      reshape(arange(0, batch, static_cast<double>(num_nodes_), integers), {1, batch, 1});
  const Tensor index = reshape(unsqueeze(edge_index_, 1) + first, {2, batch * edges});
  const Tensor features =
      reshape(expand(unsqueeze(nn::as_dtype(edge_features_, x), 0), {batch, -1, -1}),
              {batch * edges, edge_features_.size(1)});
  const Tensor nodes = cat(parts, 2);
  const Tensor y = net(reshape(nodes, {batch * num_nodes_, nodes.size(2)}), features,
                       nn::Graph(index, batch * num_nodes_));
  return reshape(y, {batch, num_nodes_, y.size(1)});
}

}  // namespace brume::diffusion
