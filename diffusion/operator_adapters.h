#pragma once
// Networks that know nothing of t behind (x, t, condition): what they lack is joined to their
// input.

#include <brume/diffusion/model.h>
#include <brume/nn/layers/embedding.h>
#include <brume/nn/models/afno.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/models/mesh_graph_net.h>
#include <brume/nn/models/pix2pix.h>
#include <brume/nn/models/transolver.h>
#include <brume/nn/models/unet3d.h>

namespace brume::diffusion {

/// x, the embedding [B, D] (or undefined) and every tensor of the condition along the channels. A
/// vector [B, C] stands at each place of x.
/// @shape  x [B, C, ...], condition tensors [B, Cc, ...] or [B, Cc] -> [B, all channels, ...]
/// @throws ShapeError if a tensor fits neither way
Tensor join_channels(const Tensor& x, const Tensor& embedding, const Condition& condition);

/// The net's own arguments beside `time_channels`.
template <class NetConfig>
struct ChannelAdapterConfig {
  NetConfig net{};
  int64_t time_channels = 16;

  template <class V>
  void fields(V& v) {
    net.fields(v);
    v("time_channels", time_channels);
  }
};

/// A net of one tensor with time_channels waves of t and the condition as further channels of x;
/// the net's inputs (in_channels, in_features) count them all. Keys: net.*, time_embed.freqs
template <class Net>
class ChannelAdapter : public nn::Module {
 public:
  using Config = ChannelAdapterConfig<typename Net::Config>;
  explicit ChannelAdapter(const Config& c)
      : net(child<Net>("net", c.net)),
        time_embed_(child<nn::PositionalEmbedding>(
            "time_embed", {.num_channels = c.time_channels, .endpoint = true})) {
    int64_t inputs = 0;
    if constexpr (requires { c.net.in_features; })
      inputs = c.net.in_features;
    else
      inputs = c.net.in_channels;
    check(inputs > c.time_channels,
          "ChannelAdapter: the net's inputs are those of x, the condition's and ", c.time_channels,
          " of t (time_channels), got ", inputs, " in all");
  }
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const {
    check_times("ChannelAdapter", t, x.shape());
    return net(join_channels(x, time_embed_(t), condition));
  }
  nn::Ref<Net> net;

 private:
  nn::Ref<nn::PositionalEmbedding> time_embed_;
};

/// x [B, features]. @source a denoiser for points, as in arXiv:2206.00364, section 2
using FullyConnectedAdapter = ChannelAdapter<nn::FullyConnected>;
using FNOAdapter = ChannelAdapter<nn::FNO>;
using AFNOAdapter = ChannelAdapter<nn::AFNO>;
using UNet3DAdapter = ChannelAdapter<nn::UNet3D>;
using Pix2PixAdapter = ChannelAdapter<nn::Pix2Pix>;

/// t as the time that modulates; the condition as further channels. Keys: net.*
class ModAFNOAdapter : public nn::Module {
 public:
  using Config = nn::ModAFNOConfig;
  explicit ModAFNOAdapter(const Config& c) : net(child<nn::ModAFNO>("net", c)) {}
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const {
    return net(join_channels(x, {}, condition), t);
  }
  nn::Ref<nn::ModAFNO> net;
};

/// x [B, N, channels] or [B, grid..., channels] with t as its time. The condition: nothing, the
/// embedding of the points, or "embedding" and others that join x along the last axis. Keys: net.*
/// @throws ShapeError if the net has no time_input
class TransolverAdapter : public nn::Module {
 public:
  using Config = nn::TransolverConfig;
  explicit TransolverAdapter(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const;
  nn::Ref<nn::Transolver> net;
};

struct MeshGraphNetAdapterConfig {
  nn::MeshGraphNetConfig net{};
  int64_t time_channels = 16;
  int64_t num_nodes = 0, num_edges = 0;

  template <class V>
  void fields(V& v) {
    net.fields(v);
    v("time_channels", time_channels);
    v("num_nodes", num_nodes, nn::required);
    v("num_edges", num_edges, nn::required);
  }
};

/// Fields over the nodes of one mesh, x [B, N, channels], with waves of t and the condition
/// [B, N, ...] as further node features; a batch is one graph of B meshes. The mesh is part of the
/// file. Keys: edge_index, edge_features, net.*, time_embed.freqs
class MeshGraphNetAdapter : public nn::Module {
 public:
  using Config = MeshGraphNetAdapterConfig;
  explicit MeshGraphNetAdapter(const Config& c);
  /// Before it, or a file with a mesh, no call is possible.
  /// @shape edge_index i64 [2, num_edges], edge_features [num_edges, input_dim_edges]
  void set_mesh(const Tensor& edge_index, const Tensor& edge_features);
  Tensor operator()(const Tensor& x, const Tensor& t, const Condition& condition = {}) const;
  nn::Ref<nn::MeshGraphNet> net;

 private:
  int64_t num_nodes_;
  Tensor edge_index_, edge_features_;
  nn::Ref<nn::PositionalEmbedding> time_embed_;
};

}  // namespace brume::diffusion
