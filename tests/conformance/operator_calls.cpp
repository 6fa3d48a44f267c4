// Neural operators, graph networks and what they are made of.

#include <brume/nn/layers/place_embedding.h>
#include <brume/nn/layers/spectral_conv.h>
#include <brume/nn/models/afno.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/models/mesh_graph_net.h>
#include <brume/nn/models/transolver.h>

#include "tests/conformance/module_calls.h"

namespace brume::conformance {
namespace {

Value mod_afno(const Object& self, Arguments& a) {
  return of<nn::ModAFNO>(self)(a.tensor("x"), a.tensor("mod"));
}

Value mesh_graph_net(const Object& self, Arguments& a) {
  a.ignore("edge_index");  // the graph has it
  const Value& graph = a.at("graph");
  return of<nn::MeshGraphNet>(self)(
      a.tensor("node_features"), a.tensor("edge_features"),
      {graph.at("edge_index").array("edge_index").tensor, graph.at("num_nodes").integer("graph")});
}

Value transolver(const Object& self, Arguments& a) {
  return of<nn::Transolver>(self)(a.tensor("fx"), a.optional_tensor("embedding"),
                                  a.optional_tensor("time"));
}

}  // namespace

void add_operator_calls(ModuleCalls& calls) {
  calls["SpectralConv1d"] = {{"", of_x<nn::SpectralConv1d>}};
  calls["SpectralConv2d"] = {{"", of_x<nn::SpectralConv2d>}};
  calls["SpectralConv3d"] = {{"", of_x<nn::SpectralConv3d>}};
  calls["SpectralConv4d"] = {{"", of_x<nn::SpectralConv4d>}};
  calls["FNO"] = {{"", of_x<nn::FNO>}};
  calls["AFNO2DLayer"] = {{"", of_x<nn::AFNO2DLayer>}};
  calls["AFNO"] = {{"", of_x<nn::AFNO>}};
  calls["ModAFNO"] = {{"", mod_afno}};
  calls["SinusoidalTimestepEmbedding"] = {{"", of_x<nn::SinusoidalTimestepEmbedding>}};
  calls["FourierLayer"] = {{"", of_x<nn::FourierLayer>}};
  calls["FourierPositionalEmbedding"] = {{"", of_x<nn::FourierPositionalEmbedding>}};
  calls["MeshGraphNet"] = {{"", mesh_graph_net}};
  calls["Transolver"] = {{"", transolver}};
}

}  // namespace brume::conformance
